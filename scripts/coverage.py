"""Measure the coverage of intervals and brackets of log Z on three cases with known log Z; the table is coverage.md.

PYTHONPATH=. python scripts/coverage.py [REPEATS] > scripts/coverage.md

A repeat is a round of `ebm evaluate`: new rows, a base fitted to them, a pilot, chains of the model and their mixing
verdict. The methods ais, bridge and smc use the same pilot and chains; ti has its own ladder and pilot. Results without
a value, or with only one bound because the chains have not mixed, are counted but excluded from the fractions. Ctrl-C
prints the table of the finished repeats.
"""

import dataclasses
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ebm_cli.energy import frozen
from ebm_cli.energy._capabilities import ExactDraws, ExactLogZ
from ebm_cli.energy.funnel import Funnel
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition import Budget, Integrand, annealing_path
from ebm_cli.partition.log_z_search import RoundSize, start_search
from ebm_cli.partition.refinement import run_round
from ebm_cli.partition.settings import LogZSettings
from ebm_cli.rng import generator

CHAINS, STEPS, ROWS = 64, 100, 500
TOGETHER = (("ais", "bridge", "smc"), ("ti",))
COLUMNS = ("case", "base", "method", "±1.96 se", "bracket", "lower", "upper", "mean z", "sd z", "se", "width",
           "refused", "one bound", "ok", "ok and wrong")  # fmt: skip


@dataclass(frozen=True)
class Case:
    """An energy, its temperature, the width of the rows relative to exact draws, the base, and the steps per path."""

    energy: Callable[[], nn.Module]
    temperature: float
    wider: float
    base: str
    temperatures: int


def quadratic() -> nn.Module:
    return Quadratic(np.linspace(0.5, 4, 8).tolist(), (8,))


def mixture() -> nn.Module:
    return GaussianMixture([[1.5, *[0.0] * 15], [-1.5, *[0.0] * 15]], [1.0, 1.0], [0.3, 0.7])


CASES = {
    "quadratic 8-D, T = 2": Case(quadratic, 2.0, 1.4, "gaussian", 12),
    "mixture 16-D, T = 1": Case(mixture, 1.0, 1.2, "mixture", 20),
    "funnel 5-D, T = 1": Case(lambda: Funnel(0.7, (5,)), 1.0, 1.0, "gaussian", 30),
}


def repeat(case: Case, seed: int) -> dict[str, Estimate]:
    """Return the error of each method in one round."""
    energy, T = case.energy(), case.temperature
    assert isinstance(energy, ExactDraws)
    assert isinstance(energy, ExactLogZ)
    rows = case.wider * energy.draw(ROWS, T, generator(seed, "coverage/rows", "cpu")).detach()
    settings = LogZSettings("auto", "hmc", CHAINS, case.temperatures, 3, STEPS, base=case.base, box=None)
    path = annealing_path(Integrand(energy, T, rows.shape[1:], rows, seed), settings, Budget(), rows)
    found = {}
    with frozen(path.space), torch.no_grad():
        for methods in TOGETHER:
            rng = generator(seed, f"coverage/{methods[0]}", "cpu")
            search = start_search(path, dataclasses.replace(settings, method=methods[0]), seed, rng)
            for method in methods:
                if search is None:
                    found[method] = refused("no path")
                    continue
                search.settings = dataclasses.replace(settings, method=method)
                found[method] = less(run_round(search, RoundSize(case.temperatures, STEPS)).estimate, energy.log_z(T))
    return found


def less(e: Estimate, truth: float) -> Estimate:
    """Subtract the true value from the estimate and its bounds."""
    moved = {name: None if (v := getattr(e, name)) is None else v - truth for name in ("value", "lower", "upper")}
    return dataclasses.replace(e, **moved)


def row(name: str, base: str, method: str, found: list[Estimate]) -> list[str]:
    """Return a row of the table; fractions are of the results with a value, or with both bounds."""
    given = [e for e in found if e.value is not None]
    closed = [e for e in given if e.lower is not None and e.upper is not None]
    value, se = np.array([(e.value, e.se) for e in given], dtype=float).T
    lower, upper = np.array([(e.lower, e.upper) for e in closed], dtype=float).T
    z, held = value / se, (lower < 0) & (upper > 0)
    sure = np.array([e.verdict == "ok" for e in closed])
    shares = [(np.abs(z) < 1.96).mean(), held.mean(), (lower < 0).mean(), (upper > 0).mean()]
    spread = [f"{z.mean():.2f}", f"{z.std():.2f}", f"{np.median(se):.4f}", f"{np.median(upper - lower):.3f}"]
    counts = [len(found) - len(given), len(given) - len(closed), int(sure.sum()), int((sure & ~held).sum())]
    return [name, base, method, *(f"{share:.1%}" for share in shares), *spread, *map(str, counts)]


def main() -> None:
    torch.set_num_threads(1)
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    found: dict[tuple[str, str], list[Estimate]] = {}
    begin, done = time.perf_counter(), 0
    try:
        for seed in range(repeats):
            # Keep a repeat only if all of its cases are finished: then all rows have the same number of repeats.
            each = {(name, m): e for name, case in CASES.items() for m, e in repeat(case, seed).items()}
            for key, estimate in each.items():
                found.setdefault(key, []).append(estimate)
            done += 1
    except KeyboardInterrupt:
        pass
    print(f"{done} repeats in {time.perf_counter() - begin:,.0f} s, one thread: `python scripts/coverage.py {done}`\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for (name, method), estimates in found.items():
        print(f"| {' | '.join(row(name, CASES[name].base, method, estimates))} |")


if __name__ == "__main__":
    main()
