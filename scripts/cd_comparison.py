"""Compare contrastive divergence with exact maximum likelihood, for an RBM with 16 hidden units on binary digits.

    python scripts/cd_comparison.py [--steps 1000] [--seeds 3]      # writes scripts/cd_comparison.md

Each machine is trained with the same optimizer and number of steps, and only the negative phase differs. log Z is a sum
over the 2^16 states of the hidden units, so that the held-out nll of every checkpoint is exact. `spurious_valleys`
counts fixed points that random states and the model's chains lead to, and that are no data row.
"""

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

import numpy as np

from ebm_cli.cli import main

TRAINING = ["energy=rbm", "energy.hidden=16", "data=digits_binary", "optimizer=adam", "optimizer.lr=0.01"]
CHAINS = ["objective=contrastive", "sampler=gibbs"]
METHODS = {
    "CD-1": [*CHAINS, "start=data", "objective.steps=1"],
    "CD-10": [*CHAINS, "start=data", "objective.steps=10"],
    "PCD": [*CHAINS, "start=replay", "start.size=128", "start.restart=0.0", "objective.steps=1"],
    "exact": ["objective=exact", "sampler=gibbs"],
}
COUNTS = ("spurious_valleys", "spurious_mass", "spurious_starts")


def nll_curve(run: Path, method: str, seed: int, steps: int) -> dict[int, float]:
    """Train one machine, and return the held-out nll at each checkpoint."""
    words = [*TRAINING, *METHODS[method], f"trainer.steps={steps}", f"trainer.nll_every={steps // 5}", f"seed={seed}"]
    assert main(["train", *words, "threads=1", f"out={run}"]) == 0
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row["nll"] for row in rows if "nll" in row}


def spurious(run: Path, seed: int) -> list[float | None]:
    """Return what `ebm diagnose` counts for the chains of a trained machine."""
    chains, found = run.with_name(f"{run.name}-chains"), run.with_name(f"{run.name}-found")
    words = ["chains=64", "steps=500", f"seed={seed}", "threads=1"]
    assert main(["sample", f"run={run}", *words, f"out={chains}"]) == 0
    main(["diagnose", f"run={chains}", "diagnostic=[spurious_valleys]", "threads=1", f"out={found}"])
    rows = json.loads((found / "metrics.json").read_text())
    return [rows.get(name, {}).get("value") for name in COUNTS]


def span(values: list[float | None]) -> str:
    """Return the mean over seeds with the smallest and the largest value."""
    known = [value for value in values if value is not None]
    if not known:
        return "refused"
    return f"{np.mean(known):.4g} ({min(known):.4g} to {max(known):.4g})"


def tables(methods: list[str], seeds: int, steps: int) -> str:
    """Return both tables."""
    curves, counts = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for method in methods:
            runs = [Path(scratch) / f"{method}{seed}" for seed in range(seeds)]
            found = [nll_curve(run, method, seed, steps) for seed, run in enumerate(runs)]
            cells = [span([curve[step] for curve in found]) for step in found[0]]
            curves.append(f"| {method} | {' | '.join(cells)} |")
            each = zip(*[spurious(run, seed) for seed, run in enumerate(runs)], strict=True)
            counts.append(f"| {method} | {' | '.join(span(list(values)) for values in each)} |")
            print(curves[-1], counts[-1], sep="\n", flush=True)
    at = [f"step {step}" for step in range(steps // 5, steps + 1, steps // 5)]
    return "\n\n".join([table(["held-out nll, nats", *at], curves), table(["after training", *COUNTS], counts)])


def table(names: list[str], lines: list[str]) -> str:
    """Return a table with these column names."""
    return "\n".join([f"| {' | '.join(names)} |", "|---" * len(names) + "|", *lines])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    given = parser.parse_args()
    title = "# CD-1, CD-10, persistent CD and exact maximum likelihood\n\n"
    command = shlex.join(["python", "scripts/cd_comparison.py", *sys.argv[1:]])
    text = "Means over seeds, with the smallest and the largest value."
    given.out.write_text(f"{title}`{command}`\n\n{text}\n\n{tables(given.methods, given.seeds, given.steps)}\n")
