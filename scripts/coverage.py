"""How often log Z's intervals and brackets hold the truth: over 1,000 repeats of a round, on cases known exactly.

PYTHONPATH=. python scripts/coverage.py [REPEATS] [CASE ...]

A repeat is what `ebm evaluate` does in one round but for the verdict on mixing: 64 paths forth, 16 ladders, 64 paths
back. Repeats share pilots, a hundred to each, so that they can run side by side.
"""

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ebm_cli.energy import ExactDraws, ExactLogZ, frozen
from ebm_cli.energy.funnel import Funnel
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.estimate import Estimate
from ebm_cli.partition.annealing import forward, reverse
from ebm_cli.partition.base import Normal
from ebm_cli.partition.bracket import Backward, Bracketed, bracket
from ebm_cli.partition.integration import integrated
from ebm_cli.partition.ladder import Ladder
from ebm_cli.partition.model_chains import LADDERS, ModelChains
from ebm_cli.partition.particles import groups_of, particles
from ebm_cli.partition.path import Way
from ebm_cli.partition.pilot import Pilot, lead
from ebm_cli.partition.recipe import Recipe
from ebm_cli.partition.rounds import APART, flight_of, shifted
from ebm_cli.partition.spending import Spending
from ebm_cli.partition.whitened import Integrand, whitened
from ebm_cli.rng import generator

TOGETHER = 100
CHAINS, STEPS = 64, 100
MIXED = Estimate(1.0)


@dataclass(frozen=True)
class Case:
    """An energy at a temperature, how many times as wide its rows are, and the steps of a path."""

    energy: Callable[[], nn.Module]
    temperature: float
    wider: float
    temperatures: int


def quadratic() -> nn.Module:
    return Quadratic(np.linspace(0.5, 4, 8).tolist(), (8,))


def mixture() -> nn.Module:
    return GaussianMixture([[1.5, *[0.0] * 15], [-1.5, *[0.0] * 15]], [1.0, 1.0], [0.3, 0.7])


CASES = {
    "quadratic 8-D, T = 2": Case(quadratic, 2.0, 1.4, 12),
    "mixture 16-D, T = 1": Case(mixture, 1.0, 1.2, 20),
    "funnel 5-D, T = 1": Case(lambda: Funnel(0.7, (5,)), 1.0, 1.0, 30),
}


def rounds(case: Case, repeats: int, seed: int) -> tuple[dict[str, list[Bracketed]], float]:
    """What each method finds, a round a repeat, all from one pilot; and the truth in the same coordinates."""
    energy, T = case.energy(), case.temperature
    assert isinstance(energy, ExactDraws)
    assert isinstance(energy, ExactLogZ)
    rng = generator(seed, "coverage", "cpu")
    rows = case.wider * energy.draw(500, T, rng).detach()
    space = whitened(Integrand(energy, T, rows.shape[1:], rows, seed), rows)
    way = Way(space, Normal(space.middle), Spending(None, None))
    recipe = Recipe("bridge", "gaussian", None, "hmc", CHAINS, case.temperatures, 3, STEPS)
    with frozen(space), torch.no_grad():
        pilot, _ = lead(way, recipe, rng)
        assert pilot is not None
        schedule = pilot.schedule(case.temperatures)
        forth = parts(forward(way, schedule, repeats * CHAINS, rng)[0], repeats)
        groups, each = groups_of(CHAINS)
        groups_forth = parts(particles(way, schedule, repeats * groups, each, rng)[0], repeats)
        chains = model_chains(way, pilot, recipe, repeats, APART, rng)
        z = chains.draws(CHAINS // LADDERS)
        back = reverse(way, schedule, z, rng).view(repeats, LADDERS, -1).numpy()
        whole = model_chains(way, pilot, recipe, repeats, 1, rng)
    drives = torch.stack(whole.drives[whole.begun :]).flip(1).numpy()
    betas = whole.ladder.betas.flip(0).double().numpy()
    found: dict[str, list[Bracketed]] = {
        "ais": [bracket(f, Backward(b, MIXED), False, "") for f, b in zip(forth, back, strict=True)],
        "bridge": [bracket(f, Backward(b, MIXED), True, "") for f, b in zip(forth, back, strict=True)],
        "smc": [bracket(f, Backward(b, MIXED), False, "") for f, b in zip(groups_forth, back, strict=True)],
        "ti": [integrated(betas, drives[:, :, i * LADDERS : (i + 1) * LADDERS], MIXED) for i in range(repeats)],
    }
    return found, energy.log_z(T) - space.log_volume


def parts(log_w: Tensor, repeats: int) -> np.ndarray:
    return log_w.view(repeats, -1).numpy()


def model_chains(way: Way, pilot: Pilot, recipe: Recipe, repeats: int, apart: int, rng: torch.Generator) -> ModelChains:
    """The ladders of all repeats, from a population that was led to the model."""
    _, seen = lead(way, dataclasses.replace(recipe, chains=repeats * LADDERS), rng)
    rungs = max(3, -(-len(pilot.betas) // apart) + 1)
    ladder = Ladder.of(way, pilot, rungs, flight_of(pilot))
    chains = ModelChains(way, ladder, pilot.kernel_at(1.0), ladder.init(seen.z[: repeats * LADDERS]), 0)
    chains.extend(STEPS, rng)
    return chains


def held(found: list[Bracketed], truth: float) -> str:
    """A row of the table."""
    given = [f.estimate for f in found if f.estimate.value is not None]
    value, se, lower, upper = np.array([(e.value, e.se, e.lower, e.upper) for e in given], dtype=float).T
    z = (value - truth) / se
    covered = (np.abs(z) < 1.96).mean()
    within = ((lower < truth) & (truth < upper)).mean()
    return (
        f"{covered:8.1%} {within:9.1%} {(lower < truth).mean():8.1%} {(truth < upper).mean():8.1%} "
        f"{z.mean():8.2f} {z.std():6.2f} {np.median(se):8.4f} {np.median(upper - lower):8.3f} "
        f"{len(found) - len(given):8d}"
    )


def main() -> None:
    torch.set_num_threads(1)
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    names = [name for name in CASES if not sys.argv[2:] or any(name.startswith(a) for a in sys.argv[2:])]
    print(
        f"{'case':22s} {'method':7s} {'±1.96 se':>8s} {'bracket':>9s} {'lower':>8s} {'upper':>8s} "
        f"{'mean z':>8s} {'sd z':>6s} {'se':>8s} {'width':>8s} {'refused':>8s}"
    )
    for name in names:
        all_found: dict[str, list[Bracketed]] = {}
        for seed in range(repeats // TOGETHER):
            found, truth = rounds(CASES[name], TOGETHER, seed)
            for method, each in found.items():
                # Each pilot has coordinates of its own: all are moved to those in which log Z is 0.
                all_found.setdefault(method, []).extend(shifted(f, -truth) for f in each)
        for method, each in all_found.items():
            print(f"{name:22s} {method:7s} {held(each, 0.0)}", flush=True)


if __name__ == "__main__":
    main()
