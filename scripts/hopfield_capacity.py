"""Measure the load P/N at which Hebbian Hopfield networks recall half of their patterns.

python scripts/hopfield_capacity.py [--networks 10] [--sizes 250 500 1000 2000] [--picture outputs/capacity.png]

Each network stores P random patterns of N units ±1, and starts at each of them, or at the first 100. A pattern is
recalled if asynchronous updates at T = 0 end in a fixed point with an overlap of at least 0.95. Errors are standard
errors over networks.
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

MIN_OVERLAP, CAPACITY, MAX_PATTERNS = 0.95, 0.138, 100
LOADS = (0.05, 0.08, 0.10, 0.12, 0.138, 0.15, 0.16, 0.17, 0.18, 0.19, 0.20, 0.22, 0.24, 0.28, 0.32)


def recalled(size: int, load: float, seed: int) -> tuple[float, float]:
    """Return the fractions of a network's patterns that are recalled, and that are fixed points themselves."""
    data = Patterns(round(load * size), size, 0.5, "spin", seed)
    energy, patterns = Hopfield("hebbian", "spin", None, data), data.split("train").x[:MAX_PATTERNS]
    fixed = descend_sites(energy, patterns, generator(seed, "recall", patterns.device))
    overlap = (fixed * patterns).mean(1)
    return float((overlap >= MIN_OVERLAP).double().mean()), float((fixed == patterns).all(1).double().mean())


def half_load(loads: list[float], fractions: Float[np.ndarray, " loads"]) -> float:
    """Return the load at which the recalled fraction first falls to one half, by linear interpolation."""
    i = int(np.argmax(fractions < 0.5))
    return float(np.interp(0.5, fractions[[i, i - 1]], [loads[i], loads[i - 1]]))


def curve(size: int, networks: int) -> Float[np.ndarray, "loads networks 2"]:
    """Print and return the fractions of each network at rising loads, until no network recalls half."""
    rows: list[Float[np.ndarray, "networks 2"]] = []
    for load in LOADS:
        rows.append(np.array([recalled(size, load, seed) for seed in range(networks)]))
        mean, se = rows[-1].mean(0), rows[-1].std(0, ddof=1) / networks**0.5
        print(f"| {size} | {load:g} | {mean[0]:.3f} ± {se[0]:.3f} | {mean[1]:.3f} ± {se[1]:.3f} |", flush=True)
        if (rows[-1][:, 0] < 0.5).all():
            break
    return np.array(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=10)
    parser.add_argument("--sizes", type=int, nargs="+", default=[250, 500, 1000, 2000])
    parser.add_argument("--picture", type=Path, default=Path("outputs/capacity.png"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    drawn, (axes,) = figure.new()
    print("| N | P/N | recalled | fixed points |\n|---|---|---|---|")
    halves = []
    for size, color in zip(options.sizes, figure.CYCLE, strict=False):
        fractions = curve(size, options.networks)
        loads = list(LOADS[: len(fractions)])
        half = np.array([half_load(loads, fractions[:, seed, 0]) for seed in range(options.networks)])
        halves.append(f"| {size} | {half.mean():.4f} ± {half.std(ddof=1) / len(half) ** 0.5:.4f} |")
        mean, error = fractions[..., 0].mean(1), fractions[..., 0].std(1, ddof=1) / options.networks**0.5
        axes.errorbar(loads, mean, error, color=color, marker="o", markersize=3, label=f"N = {size}")
    print("\n| N | load of half recall |\n|---|---|", *halves, sep="\n")
    axes.axvline(CAPACITY, color=figure.BLACK, linestyle="--", label=f"{CAPACITY}, large N")
    axes.set(xlabel="load P/N", ylabel="fraction of patterns recalled", ylim=(0, 1.02))
    axes.legend()
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(options.picture, dpi=150)


if __name__ == "__main__":
    main()
