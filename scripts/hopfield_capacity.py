"""Measure the load P/N at which Hebbian Hopfield networks recall half of their patterns.

python scripts/hopfield_capacity.py [--networks 10] [--sizes 250 500 1000] [--patterns 100] [--picture capacity.png]

Each network stores P random patterns of N units ±1, and starts at each of them, or at the first `patterns`. A pattern
is recalled if asynchronous updates at T = 0 end in a fixed point with an overlap of at least 0.95. Errors are standard
errors over networks. Ten networks of 250, 500 and 1,000 units take five minutes on one thread, and of 2,000 units as
long again with 100 patterns.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from ebm_cli import figure
from ebm_cli.data.patterns import Patterns
from ebm_cli.energy.hopfield import Hopfield
from ebm_cli.rng import generator
from ebm_cli.wells.site_descent import descend_sites

MIN_OVERLAP, CAPACITY = 0.95, 0.138
LOADS = (0.05, 0.08, 0.10, 0.12, 0.138, 0.15, 0.16, 0.17, 0.18, 0.19, 0.20, 0.22, 0.24, 0.28, 0.32)


def recalled(size: int, load: float, seed: int, first: int | None = None) -> tuple[float, float]:
    """Return the fractions of a network's (first) patterns that are recalled, and that are fixed points themselves."""
    data = Patterns(round(load * size), size, 0.5, "spin", seed)
    energy, patterns = Hopfield("hebbian", "spin", None, data), data.split("train").x[:first]
    fixed = descend_sites(energy, patterns, generator(seed, "recall", patterns.device))
    overlap = (fixed * patterns).mean(1)
    return float((overlap >= MIN_OVERLAP).double().mean()), float((fixed == patterns).all(1).double().mean())


def curve(size: int, networks: int, first: int | None) -> Float[np.ndarray, "3 loads"]:
    """Print the fractions at rising loads, until less than half of the patterns are recalled.

    Return the loads, the mean fractions recalled, and their standard errors over networks.
    """
    rows: list[tuple[float, float, float]] = []
    for load in LOADS:
        found = np.array([recalled(size, load, seed, first) for seed in range(networks)])
        mean, se = found.mean(0), found.std(0, ddof=1) / networks**0.5
        print(f"| {size} | {load:g} | {mean[0]:.3f} ± {se[0]:.3f} | {mean[1]:.3f} ± {se[1]:.3f} |", flush=True)
        rows.append((load, mean[0], se[0]))
        if mean[0] < 0.5:
            break
    return np.array(rows).T


def half_load(loads: Float[np.ndarray, "3 loads"]) -> tuple[float, float]:
    """Return the load of half recall and its standard error, by a line through the last two loads of a curve."""
    load, mean, se = loads[:, -2:]
    slope = (mean[0] - mean[1]) / (load[1] - load[0])
    half = load[0] + (mean[0] - 0.5) / slope
    return float(half), float(np.interp(half, load, se) / slope)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--sizes", type=int, nargs="+", default=[250, 500, 1000])
    parser.add_argument("--patterns", type=int)
    parser.add_argument("--picture", type=Path, default=Path("outputs/capacity.png"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    drawn, (axes,) = figure.new()
    print("| N | P/N | recalled | fixed points |\n|---|---|---|---|")
    halves = []
    for size, color in zip(options.sizes, figure.CYCLE, strict=False):
        found = curve(size, options.networks, options.patterns)
        halves.append("| {} | {:.4f} ± {:.4f} |".format(size, *half_load(found)))
        axes.errorbar(*found, color=color, marker="o", markersize=3, label=f"N = {size}")
    print("\n| N | load of half recall |\n|---|---|", *halves, sep="\n")
    axes.axvline(CAPACITY, color=figure.BLACK, linestyle="--", label=f"{CAPACITY}, large N")
    axes.set(xlabel="load P/N", ylabel="fraction of patterns recalled", ylim=(0, 1.02))
    axes.legend()
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(options.picture, dpi=150)


if __name__ == "__main__":
    main()
