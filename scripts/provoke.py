"""Provoke five divergences of the digits recipe, with and without rollback, and print the result of each run.

    python scripts/provoke.py [STEPS]

The changes: a learning rate 100 times too high, a sampler step size 100 times too large, an energy without confinement
(with ten times the rate and no clipping), the first two together, and a rate 10,000 times too high. Each is trained for
STEPS steps (default 600), once without and once with trainer.on_divergence=rollback. The second run must succeed. The
Fréchet ratio of its chains of 300 steps is printed next to the ratio of the unchanged recipe. Exit code 0 if all
succeed.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

PROVOKED = {
    "the recipe itself": [],
    "rate × 100": ["optimizer.lr=0.1", "optimizer.warmup=0"],
    "step × 100": ["sampler.step_size=0.8"],
    "no confinement": ["energy.confinement=0", "optimizer.lr=0.01", "optimizer.warmup=0", "optimizer.clip=null"],
    "rate and step × 100": ["optimizer.lr=0.1", "optimizer.warmup=0", "sampler.step_size=0.8"],
    "rate × 10,000": ["optimizer.lr=10", "optimizer.warmup=0"],
}


def ebm(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "ebm_cli", *words], capture_output=True, text=True)


def main() -> int:
    steps = sys.argv[1] if len(sys.argv) > 1 else "600"
    place = Path(tempfile.mkdtemp(prefix="ebm-provoke-"))
    bad = 0
    for number, (name, words) in enumerate(PROVOKED.items()):
        recipe = ["train", "experiment=digits", f"trainer.steps={steps}", "trainer.checkpoint_every=50", *words]
        plain = ebm(*recipe, f"out={place / f'plain-{number}'}")
        said = [line for line in plain.stderr.splitlines() if "diverged at step" in line]
        stopped = said[-1].split(";")[0].removeprefix("failed: ") if said else "did not diverge"
        run = place / f"rollback-{number}"
        done = ebm(*recipe, "trainer.on_divergence=rollback", f"out={run}")
        rollbacks = done.stderr.count("(rollback ")
        score = place / f"score-{number}"
        ebm("evaluate", f"run={run}", "metric=[frechet]", "steps=300", f"out={score}")
        path = score / "metrics.json"
        ratio = json.loads(path.read_text())["frechet_ratio"]["value"] if path.exists() else None
        print(
            f"{name:22} {stopped:75} rollbacks {rollbacks}, exit {done.returncode}, frechet_ratio {ratio}", flush=True
        )
        bad += done.returncode != 0 or ratio is None
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
