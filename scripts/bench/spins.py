"""Spin updates per second of chromatic Gibbs sampling on a square lattice, compared with NumPy, on one thread.

    python -m scripts.bench.spins [--quick]

All variants update every spin of a periodic L × L lattice at the critical temperature once per sweep, in 64 chains.
`numpy` stores the two colors of the lattice apart, and compares uniform numbers in single precision with a table of
probabilities. `before` draws each color by the general code of the kernel, which any graph takes. `eager` and
`compiled` are the engines of `ebm sample`. Variants take turns in one process, and times are of the processor, because
others may share its cores. The last columns take a compiled sweep apart: drawing its random integers, and all else.
Writes scripts/bench/spins.md and .json.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ebm_cli.chain.engine import Tally, engine_of
from ebm_cli.energy.ising import Ising
from ebm_cli.sampler._site_kernel import SiteKernel
from ebm_cli.sampler.gibbs import Gibbs
from scripts.bench import table
from scripts.bench.table import Bar

CHAINS, SIZES = 64, (16, 32, 64, 128)
CRITICAL = 2 / math.log(1 + 2**0.5)
TOOLS = ("numpy", "before", "eager", "compiled")
BOUND, AIM = 150.0, 200.0
# Compiled blocks have as many sweeps.
SWEEPS = 10

Run = Callable[[], Any]


def checkerboard(size: int) -> Run:
    """Return sweeps in NumPy, on the two colors of the lattice as arrays of their own."""
    rng = np.random.default_rng(0)
    halves = [np.ones((CHAINS, size, size // 2), np.int8) for _ in range(2)]
    up = (1 / (1 + np.exp(-2 * np.arange(-4, 5) / CRITICAL))).astype(np.float32)
    is_shifted = [np.arange(size)[:, None] % 2 == parity for parity in (0, 1)]

    def sweep() -> None:
        for color in (0, 1):
            other = halves[1 - color]
            beside = np.where(is_shifted[color], np.roll(other, 1, 2), np.roll(other, -1, 2))
            sums = np.roll(other, 1, 1) + np.roll(other, -1, 1) + other + beside
            u = rng.random(sums.shape, dtype=np.float32)
            halves[color] = np.where(u < up[sums + 4], np.int8(1), np.int8(-1))

    return lambda: [sweep() for _ in range(SWEEPS)]


def lattice(size: int) -> tuple[Ising, Tensor, torch.Generator]:
    """Return the energy, uniform states, and a generator."""
    energy, rng = Ising(1.0, 0.0, "lattice", "spin", False, (size, size)), torch.Generator().manual_seed(0)
    return energy.requires_grad_(False), energy.sites.uniform(CHAINS, rng, torch.float32), rng


def ours(size: int, engine: str) -> Run:
    """Return our sweeps with an engine of `ebm sample`."""
    energy, x, rng = lattice(size)
    sampler = Gibbs(CRITICAL, "systematic")
    runner = engine_of(engine, sampler, energy, rng)
    state, tally = sampler.init(energy, x, rng), Tally.zero(x)

    def sweeps() -> None:
        nonlocal state, tally
        for _ in range(SWEEPS // runner.block):
            state, tally = runner.advance(state, tally, runner.block)

    return sweeps


def general(size: int) -> Run:
    """Return sweeps by the code for any graph."""
    energy, x, rng = lattice(size)
    sampler = Gibbs(CRITICAL, "systematic")
    state = SiteKernel.init(sampler, energy, x, rng)

    def sweeps() -> None:
        nonlocal state
        for _ in range(SWEEPS):
            state, _ = SiteKernel.step(sampler, energy, state, rng)

    return sweeps


def draws(size: int) -> Run:
    """Return only the random numbers of as many sweeps."""
    energy, x, rng = lattice(size)
    kernel = Gibbs(CRITICAL, "systematic").compilable_on(energy)
    assert kernel is not None
    state = kernel.init(energy, x, rng)
    return lambda: [kernel.noise(state, rng) for _ in range(SWEEPS)]


def millions(size: int, repeats: int) -> dict[str, list[float]]:
    """Return the millions of spin updates per second of each variant in each repeat, after one warm-up."""
    variants = {
        "numpy": checkerboard(size),
        "before": general(size),
        "eager": ours(size, "eager"),
        "compiled": ours(size, "compiled"),
        "draws": draws(size),
    }
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(repeats + 1):
        for name, run in variants.items():
            began = time.process_time()
            run()
            if repeat:
                rates[name].append(SWEEPS * CHAINS * size**2 / (time.process_time() - began) / 1e6)
    return rates


def row(size: int, repeats: int) -> dict[str, Any]:
    """Return the medians of a lattice, and medians of ratios within a repeat."""
    rates = millions(size, repeats)
    middle = {name: statistics.median(values) for name, values in rates.items()}

    def ratio(below: str) -> float:
        return statistics.median(a / b for a, b in zip(rates["compiled"], rates[below], strict=True))

    rest = 1 / (1 / middle["compiled"] - 1 / middle["draws"])
    return {"size": size, **middle, "rest": rest, "over_numpy": ratio("numpy"), "over_before": ratio("before")}


def text(rows: list[dict[str, Any]], repeats: int) -> list[str]:
    """Return the table of the page."""
    columns = ["L", *TOOLS, "compiled / numpy", "compiled / before", "draws alone", "all else alone"]
    keys = ("size", *TOOLS, "over_numpy", "over_before", "draws", "rest")
    return [
        f"Millions of spin updates per second of processor time, {CHAINS} chains of L × L spins, T = {CRITICAL:.3f}.",
        f"Medians of {repeats} interleaved repeats of {SWEEPS} sweeps: `python -m scripts.bench.spins`.\n",
        *table.lines(columns, [[table.figure(each[key]) for key in keys] for each in rows]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="run one small lattice with two repeats, as a test")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the two files")
    options = parser.parse_args()
    table.alone()
    repeats = 2 if options.quick else options.repeats
    with torch.no_grad():
        rows = [row(size, repeats) for size in (SIZES[:1] if options.quick else SIZES)]
    largest = rows[-1]
    bars = [
        Bar(
            f"million spin updates per second, compiled, L = {largest['size']}", largest["compiled"], BOUND, least=True
        ),
        Bar("the aim", largest["compiled"], AIM, least=True),
    ]
    table.write(
        options.out / "spins", table.machine("cpu") | {"repeats": repeats}, text(rows, repeats), {"rows": rows}, bars
    )


if __name__ == "__main__":
    main()
