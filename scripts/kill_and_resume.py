"""Kill training runs with SIGKILL at random times, resume them, and compare the results bit for bit.

    python scripts/kill_and_resume.py [SCENARIO …] [--early N] [--late N] [--seed N] [ebm train overrides …]

Each scenario (by default all) trains once without interruption and once with kills: `early` kills within the first
four seconds of a process, start-up included, then `late` kills during training. After a kill, a folder with config.yaml
(for a sweep, sweep.yaml) is resumed; otherwise the same command is typed again. The script then compares the bytes of
the last checkpoint (weights, averages, optimizer, buffer, generators), config.yaml without provenance, rollbacks.json,
and metrics.jsonl and metrics.json without wall-clock time. Exit code 0 if all are equal.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from ebm_cli.run.folder import Run

EARLY_SECONDS = 4.0
OFTEN = ["trainer.checkpoint_every=20", "trainer.log_every=5"]
SMALL = ["energy.width=32", "start.size=512", "trainer.batch_size=128", *OFTEN]
SCENARIOS = {
    "plain": ["experiment=gaussians_8", "trainer.steps=200", *OFTEN],
    "rollback": [
        "experiment=two_moons",
        "sampler=sgld",
        # The learning rate rises until training diverges, and the sampler step is too large: nine rollbacks, some to
        # the same checkpoint.
        "energy.confinement=0",
        "optimizer.lr=1000",
        "optimizer.warmup=300",
        "optimizer.clip=null",
        "trainer.on_divergence=rollback",
        "trainer.max_rollbacks=12",
        "trainer.steps=300",
        *SMALL,
    ],
    "contrastive_kl": ["experiment=gaussians_8", "regularizer=[contrastive_kl]", "trainer.steps=100", *SMALL],
    "sampler": ["experiment=two_moons", "sampler=hmc", "sampler.leapfrog_steps=5", "trainer.steps=300", *SMALL],
    "sweep": ["-m", "experiment=gaussians_8", "optimizer.lr=0.001,0.002", "trainer.steps=150", *SMALL],
}
WALL_CLOCK = ("steps_per_second", "gradients_per_second")
MADE = ("made", "out")


def started(words: list[str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ebm_cli", "train", *words]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[bytes], words: list[str]) -> None:
    """Wait for a run to end; exit if it did not reach its last line (exit code 1 is a refused verdict)."""
    _, err = process.communicate()
    if process.returncode not in (0, 1) or b"failed:" in err:
        raise SystemExit(f"ebm train {' '.join(words)} ended with {process.returncode}: {err.decode()[-600:]}")


def members(folder: Path) -> list[Path]:
    """Return the runs in a folder: the folder itself, or the jobs of a sweep without remains of earlier attempts."""
    if not (folder / "sweep.yaml").exists():
        return [folder]
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name.isdigit())


def uninterrupted(words: list[str], folder: Path) -> tuple[float, float]:
    """Train without interruption; return the seconds to the first logged step and from there to the end."""
    begun = time.monotonic()
    process = started(words)
    while not any((run / "metrics.jsonl").exists() for run in members(folder)) and process.poll() is None:
        time.sleep(0.02)
    start = time.monotonic() - begun
    ended(process, words)
    return start, time.monotonic() - begun - start


def stage(folder: Path) -> str:
    """Describe the progress of a killed run."""
    if not folder.exists():
        return "no folder"
    if not is_begun(folder):
        return "no configuration"
    run = members(folder)[-1] if members(folder) else folder
    last = run / "checkpoints" / "last"
    lines = run / "metrics.jsonl"
    logged = len(lines.read_text().splitlines()) if lines.exists() else 0
    label = f"run {run.name}, " if run != folder else ""
    return f"{label}{last.read_text().strip() if last.exists() else 'no checkpoint'}, {logged} logged lines"


def is_begun(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("config.yaml", "sweep.yaml"))


def killed(words: list[str], folder: Path, moments: list[float]) -> int:
    """Train with a kill after each of `moments` seconds, then to the end; return the number of kills."""
    for number, moment in enumerate(moments):
        if Run(folder).is_finished():
            # The run was killed after its last line; `resume=` would have no step left.
            return number
        line = [f"resume={folder}"] if is_begun(folder) else words
        process = started(line)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            print(f"  kill {number + 1} after {moment:.2f} s: {stage(folder)}", flush=True)
            continue
        ended(process, line)
        print(f"  ended before kill {number + 1}")
        return number
    if not Run(folder).is_finished():
        line = [f"resume={folder}"] if is_begun(folder) else words
        ended(started(line), line)
    return len(moments)


def found(run: Path) -> dict[str, Any]:
    """Return everything in a run that must not depend on kills, by file name."""
    name = (run / "checkpoints" / "last").read_text().strip()
    folders = [run / "checkpoints" / name, run / "checkpoints" / name.replace("step-", "chains-")]
    files = [path for folder in folders for path in sorted(folder.glob("state.*"))]
    history = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    config = yaml.safe_load((run / "config.yaml").read_text())
    rollbacks = run / "rollbacks.json"
    return {
        "last": name,
        **{f"{path.parent.name}/{path.name}": path.read_bytes() for path in files},
        "metrics.jsonl": [without(row, WALL_CLOCK) for row in history],
        "metrics.json": without(json.loads((run / "metrics.json").read_text()), WALL_CLOCK),
        "config.yaml": without(config, MADE),
        "rollbacks.json": rollbacks.read_text() if rollbacks.exists() else None,
    }


def without(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in names}


def differences(whole: Path, broken: Path) -> list[str]:
    """Return the names of the files that differ between two runs or two sweeps."""
    if [run.name for run in members(whole)[1:]] != [run.name for run in members(broken)[1:]]:
        return ["the runs of the sweep"]
    pairs = zip(members(whole), members(broken), strict=True)
    both = [(run.name, found(run), found(other)) for run, other in pairs]
    return [f"{name}/{file}" for name, one, other in both for file in one | other if one.get(file) != other.get(file)]


def try_one(name: str, more: list[str], early: int, late: int, moments: random.Random) -> bool:
    """Run a scenario; return True if its two runs are equal."""
    place = Path(tempfile.mkdtemp(prefix="ebm-kill-"))
    whole, broken = place / "whole", place / "broken"
    words = [*SCENARIOS[name], *more]
    start, training = uninterrupted([*words, f"out={whole}"], whole)
    print(f"{name}: uninterrupted, {start:.1f} s to the first logged step and {training:.1f} s more")
    # On a slow machine the early period lasts until the first step.
    times = [moments.uniform(0, max(EARLY_SECONDS, start)) for _ in range(early)]
    # From just before the first step; the mean time is slightly less than 1/late of the training.
    times += [start + moments.uniform(-0.5, 1.2 * training / late) for _ in range(late)]
    kills = killed([*words, f"out={broken}"], broken, times)
    differ = differences(whole, broken)
    record = whole / "rollbacks.json"
    note = f", {len(json.loads(record.read_text()))} rollbacks" if record.exists() else ""
    print(f"{name}: {kills} kills{note}; {'differ: ' + ', '.join(differ) if differ else 'equal'}", flush=True)
    shutil.rmtree(place)
    return not differ


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", help=f"scenarios ({', '.join(SCENARIOS)}) and overrides of ebm train")
    parser.add_argument("--early", type=int, default=3, help="kills within the first four seconds")
    parser.add_argument("--late", type=int, default=4, help="kills during training")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random times")
    given = parser.parse_intermixed_args()
    names = [word for word in given.words if "=" not in word]
    if unknown := [name for name in names if name not in SCENARIOS]:
        parser.error(f"unknown scenario {unknown[0]}; choose from {', '.join(SCENARIOS)}")
    more = [word for word in given.words if "=" in word]
    moments = random.Random(given.seed)
    equal = [try_one(name, more, given.early, given.late, moments) for name in names or SCENARIOS]
    print(f"{sum(equal)} of {len(equal)} scenarios equal")
    return 0 if all(equal) else 1


if __name__ == "__main__":
    sys.exit(main())
