"""Run twelve commands, one or more per verb and role, and compare what two versions of the code wrote.

    python scripts/same_results.py FOLDER                # run the commands with this checkout, write FOLDER
    python scripts/same_results.py FOLDER OTHER          # compare two such folders

Run it once before a change that must not change results and once after it. The comparison names every file of a
checkpoint, every array of chains.nc and every row of metrics.json that differs. Rows that measure wall-clock time are
left out. Exit code 0 if nothing differs.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import h5py

TRAIN = ["trainer.steps=40", "trainer.checkpoint_every=20", "trainer.log_every=10", "seed=1", "threads=1"]
CHAINS = ["chains=16", "seed=2", "threads=1"]
COMMANDS = {
    "replay": ["train", "experiment=two_moons", "energy.width=32", "start.size=2048", *TRAIN],
    "images": ["train", "experiment=digits", "trainer.steps=6", "trainer.checkpoint_every=3", "seed=1", "threads=1"],
    "noise": ["train", "data=gaussians_8", "energy=mlp", "objective=noise_contrastive", *TRAIN],
    "regularized": [
        "train",
        "data=rings",
        "energy=mlp",
        "objective=contrastive",
        "sampler=mala",
        "start=data",
        "regularizer=[gradient_norm,energy_magnitude,contrastive_kl]",
        "optimizer=sgd",
        *TRAIN,
    ],
    "recovery": ["train", "experiment=plane_denoising_recovery", "data=two_moons", *TRAIN],
    "sampled": ["sample", "run=replay", "steps=400", "burn_in=200", *CHAINS],
    "tempered": ["sample", "energy=double_well", "event=[2]", "sampler=tempering", "steps=300", *CHAINS],
    "automatic": ["sample", "energy=muller_brown", "sampler=hmc", "steps=200", "burn_in=100", *CHAINS],
    "evaluated": [
        "evaluate",
        "run=replay",
        "metric=[nll,mmd,c2st,coverage,moments,distance_to_truth]",
        "steps=200",
        "samples=128",
        "budget=300000",
        "seed=3",
        "threads=1",
    ],
    "bracket": ["evaluate", "energy=phi4", "metric=[log_z]", "budget=200000", "seed=3", "threads=1"],
    "diagnosed": ["diagnose", "run=sampled", "seed=4", "threads=1"],
    "wells": ["diagnose", "run=automatic", "diagnostic=[laplace_wells,mode_occupancy,ess]", "seed=4", "threads=1"],
}
WALL_CLOCK = ("steps_per_second", "gradients_per_second", "ess_per_second")


def run_commands(folder: Path) -> None:
    """Run all commands with `folder` as the current folder; each writes the folder of its name."""
    folder.mkdir(parents=True)
    for name, words in COMMANDS.items():
        done = subprocess.run(
            [sys.executable, "-m", "ebm_cli", *words, f"out={name}"], cwd=folder, capture_output=True, text=True
        )
        print(f"{name}: exit {done.returncode}")
        if done.returncode not in (0, 1) or not (folder / name / "metrics.json").exists():
            raise SystemExit(done.stderr)


def array_digests(path: Path) -> dict[str, str]:
    """Return one digest per array of a NetCDF file."""
    digests: dict[str, str] = {}

    def add(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset):
            digests[name] = hashlib.sha256(node[()].tobytes()).hexdigest()

    with h5py.File(path) as file:
        file.visititems(add)
    return digests


def digests(folder: Path) -> dict[str, str]:
    """Return one digest per checkpoint file, array of chains and row of metrics.json below a folder."""
    found: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.name == "metrics.json":
            rows = json.loads(path.read_text())
            found |= {f"{name} {key}": json.dumps(row) for key, row in rows.items() if key not in WALL_CLOCK}
        elif path.name == "chains.nc":
            found |= {f"{name} {array}": digest for array, digest in array_digests(path).items()}
        elif path.is_file() and ("checkpoints" in path.parts or path.suffix in (".npy", ".csv")):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def compare(left: Path, right: Path) -> int:
    """Print what differs; return the number of differences."""
    a, b = digests(left), digests(right)
    different = [name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]
    for name in different:
        print(f"{name}\n  {a.get(name, 'missing')}\n  {b.get(name, 'missing')}")
    print(f"{len(a.keys() | b.keys())} files, arrays and rows compared: {len(different)} differ")
    return len(different)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        raise SystemExit(compare(Path(sys.argv[1]), Path(sys.argv[2])) > 0)
    run_commands(Path(sys.argv[1]))
