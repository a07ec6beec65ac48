"""A misspecified model, E = ax⁴ on data from N(0, 1), trained with chains of k Langevin steps; 64 runs at once."""

from functools import cache

import numpy as np
import torch
from scipy.optimize import root_scalar

from scripts.founding._energies import Quartic
from scripts.founding._line import Line, langevin, law
from scripts.founding._parts import descended, part, seeded

RUNS, CHAINS, STEP, RATE = 64, 256, 0.1, 0.003
EDGE, POINTS = 6.0, 501
LIKELIHOOD = 1 / 12
# Number of steps that far exceeds the autocorrelation time of these energies.
LONG = 200


def fourth_moment(a: float, k: int) -> float:
    """Return ⟨x⁴⟩ after k steps from N(0, 1), by quadrature."""
    x = grid()
    mass = np.exp(-(x**2) / 2)
    return Line(x, mass / mass.sum()).after(langevin(Quartic(a, (1,)), x, STEP), k).mean(x**4)


def grid() -> np.ndarray:
    """Return the centers of the grid cells."""
    return law(Quartic(1.0, (1,)), -EDGE, EDGE, points=POINTS).x


@cache
def fixed_point(k: int) -> float:
    """Return the a for which k steps from the data keep ⟨x⁴⟩ = 3: the fixed point of contrastive divergence."""
    return float(root_scalar(lambda a: fourth_moment(a, k) - 3.0, bracket=(0.02, 0.3), xtol=1e-7).root)


def trained(start: str, k: int, steps: int) -> tuple[torch.Tensor, np.ndarray]:
    """Return a of every run after training, and a of all runs after each step."""
    data = part("data", "gaussian", {"dim": RUNS})
    energy, rng = Quartic(0.15, (RUNS,)), seeded(k)
    sampler = part("sampler", "sgld", {"step_size": STEP})
    own = {"size": CHAINS, "restart": 0.0, "chain_init": "data"} if start == "replay" else {}
    begin = part("start", start, own, event=(RUNS,), data=data)
    objective = part("objective", "contrastive", {"steps": k}, sampler=sampler, start=begin, engine="eager")
    optimizer = torch.optim.SGD(energy.parameters(), lr=RATE)
    path = descended(
        optimizer,
        steps,
        loss=lambda: objective(energy, data.sample(CHAINS, rng), rng).loss,
        seen=lambda: energy.a.detach().numpy().copy(),
    )
    return energy.a.detach(), path
