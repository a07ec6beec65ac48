"""Brackets of log Z of a restricted Boltzmann machine with 16 hidden units on binary MNIST, against its exact value.

    python -m scripts.bench.rbm_brackets            # prints one line per method: exact, held, refused, excluded

The machine is trained once (10 s). log Z is summed over the 2^16 states of the hidden units. Each method goes along
paths from independent sites with the rates of the training rows to the model, ten times with different seeds.
"""

import argparse
import json
import tempfile
from pathlib import Path

from ebm_cli.cli import main

METHODS = ("bridge", "ais", "smc", "ti")
TRAINING = ["energy=rbm", "energy.hidden=16", "data=mnist_binary", "objective.steps=5", "optimizer.lr=0.005"]


def log_z(run: Path, folder: Path, words: list[str]) -> dict:
    """Return the row log_z of one evaluation."""
    code = main(["evaluate", f"run={run}", "metric=[log_z]", "threads=1", f"out={folder}", *words])
    return json.loads((folder / "metrics.json").read_text())["log_z"] if code == 0 else {"verdict": "refused"}


def judgment(row: dict, exact: float) -> str:
    """Return whether the bounds of a row hold the exact value."""
    low, high = row.get("lower"), row.get("upper")
    outside = (low is not None and exact < low) or (high is not None and exact > high)
    if outside:
        return "excluded" if row["verdict"] == "ok" else "excluded with caution"
    return "refused" if row["verdict"] == "refused" else f"held {row['verdict']}"


def run_all(seeds: int, budget: int) -> None:
    """Print the judgments of every method."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        main(["train", *TRAINING, "trainer.steps=2000", "seed=0", "threads=1", f"out={run}"])
        exact = log_z(run, Path(scratch) / "exact", [])["value"]
        lines = [f"exact log Z {exact:.2f}"]
        for method in METHODS:
            found, widths = [], []
            for seed in range(seeds):
                words = [f"metric.log_z.method={method}", f"seed={seed}", f"budget={budget}"]
                row = log_z(run, Path(scratch) / f"{method}{seed}", words)
                found.append(judgment(row, exact))
                if row.get("lower") is not None and row.get("upper") is not None:
                    widths.append(row["upper"] - row["lower"])
            counts = ", ".join(f"{name} {found.count(name)}" for name in sorted(set(found)))
            width = f"; widths {min(widths):.2f} to {max(widths):.2f}" if widths else ""
            lines.append(f"{method}: {counts}{width}")
    print("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=400_000)
    given = parser.parse_args()
    run_all(given.seeds, given.budget)
