"""Brackets of log Z of an RBM with 16 hidden units on binary MNIST, compared with its exact value.

    python -m scripts.bench.rbm_brackets            # writes scripts/bench/rbm_brackets.md, one line per method

The machine is trained once (10 s). log Z is summed over the 2^16 states of the hidden units. Each method goes along
paths of the joint energy of visible and hidden units, from independent units with the rates of the training rows to the
model, ten times with different seeds.
"""

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

from ebm_cli.cli import main

METHODS = ("bridge", "ais", "smc", "ti")
TRAINING = ["energy=rbm", "energy.hidden=16", "data=mnist_binary", "objective.steps=5", "optimizer.lr=0.005"]
HEADER = """| method | holds exact log Z | excludes it | refused | widths of brackets, nats | seeds |
|---|---|---|---|---|---|
"""


def log_z(run: Path, folder: Path, words: list[str]) -> dict:
    """Return the row log_z of one evaluation."""
    code = main(["evaluate", f"run={run}", "metric=[log_z]", "threads=1", f"out={folder}", *words])
    return json.loads((folder / "metrics.json").read_text())["log_z"] if code == 0 else {"verdict": "refused"}


def judgment(row: dict, exact: float) -> str:
    """Return whether the bounds of a row hold the exact value, with the verdict if they do."""
    low, high = row.get("lower"), row.get("upper")
    if row["verdict"] == "refused":
        return "refused"
    outside = (low is not None and exact < low) or (high is not None and exact > high)
    return "excluded" if outside else row["verdict"]


def line(method: str, rows: list[dict], exact: float) -> str:
    """Return a method's line of the table."""
    found = [judgment(row, exact) for row in rows]
    widths = [r["upper"] - r["lower"] for r in rows if r.get("upper") is not None and r.get("lower") is not None]
    span = f"{min(widths):.2f} to {max(widths):.2f}" if widths else "none"
    held = f"{found.count('ok')} ok, {found.count('caution')} with caution"
    return f"| {method} | {held} | {found.count('excluded')} | {found.count('refused')} | {span} | {len(rows)} |"


def run_all(methods: list[str], seeds: int, budget: int) -> str:
    """Return the table of all methods."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        main(["train", *TRAINING, "trainer.steps=2000", "seed=0", "threads=1", f"out={run}"])
        exact = log_z(run, Path(scratch) / "exact", [])["value"]
        lines = []
        for method in methods:
            rows = [log_z(run, Path(scratch) / f"{method}{seed}", words(method, seed, budget)) for seed in range(seeds)]
            lines.append(line(method, rows, exact))
    return f"Exact log Z: {exact:.2f} nats.\n\n{HEADER}" + "\n".join(lines) + "\n"


def words(method: str, seed: int, budget: int) -> list[str]:
    """Return the words of an evaluation by this method."""
    return [f"metric.log_z.method={method}", f"seed={seed}", f"budget={budget}"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=400_000)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    given = parser.parse_args()
    title = "# Brackets of log Z of a restricted Boltzmann machine with 16 hidden units on binary MNIST\n\n"
    command = shlex.join(["python", "-m", "scripts.bench.rbm_brackets", *sys.argv[1:]])
    given.out.write_text(f"{title}`{command}`\n\n{run_all(given.methods, given.seeds, given.budget)}")
    print(given.out.read_text())
