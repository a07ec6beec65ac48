"""Distributions on the line by quadrature: expectations, exact draws, and the effect of Langevin steps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import norm
from torch import Tensor, nn

from ebm_cli.energy import energy_and_grad, frozen
from ebm_cli.wells.descent import values


@dataclass(frozen=True)
class Line:
    """A distribution on an even grid. x: cell centers. mass: probability of each cell, with sum 1."""

    x: Float[np.ndarray, " points"]
    mass: Float[np.ndarray, " points"]

    @property
    def density(self) -> Float[np.ndarray, " points"]:
        return self.mass / (self.x[1] - self.x[0])

    def mean(self, f: Callable[[np.ndarray], np.ndarray] | np.ndarray) -> float:
        """Return E[f(x)]; f: a function or its values at the points."""
        return float(self.mass @ (f if isinstance(f, np.ndarray) else f(self.x)))

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n 1"]:
        """Draw n independent states by inversion, uniform within each cell."""
        u = torch.rand(n, generator=rng, dtype=torch.float64).numpy()
        h = self.x[1] - self.x[0]
        edges = np.concatenate([self.x - h / 2, [self.x[-1] + h / 2]])
        drawn = np.interp(u, np.concatenate([[0.0], np.cumsum(self.mass)]), edges)
        return torch.from_numpy(drawn).to(torch.get_default_dtype())[:, None]

    def after(self, kernel: Float[np.ndarray, "points points"], steps: int) -> "Line":
        """Return the distribution after a number of steps of a kernel."""
        mass = self.mass
        for _ in range(steps):
            mass = mass @ kernel
        return Line(self.x, mass)


def law(energy: nn.Module, low: float, high: float, temperature: float = 1.0, points: int = 20001) -> Line:
    """Return exp(−E/T)/Z on [low, high], which must contain its mass; E is taken at the cell centers."""
    half = (high - low) / points / 2
    x = np.linspace(low + half, high - half, points)
    e = energies(energy, x)
    mass = np.exp(-(e - e.min()) / temperature)
    return Line(x, mass / mass.sum())


def energies(energy: nn.Module, x: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Return E at points of the line, in double precision."""
    with frozen(energy):
        return values(energy, torch.from_numpy(x).to(torch.get_default_dtype())[:, None]).double().numpy()


def drift(energy: nn.Module, x: Float[np.ndarray, " points"], step_size: float) -> Float[np.ndarray, " points"]:
    """Return x − η∇E(x)."""
    with frozen(energy):
        _, grad = energy_and_grad(energy, torch.from_numpy(x).to(torch.get_default_dtype())[:, None])
    return x - step_size * grad[:, 0].double().numpy()


def langevin(
    energy: nn.Module, x: Float[np.ndarray, " points"], step_size: float, temperature: float = 1.0
) -> Float[np.ndarray, "points points"]:
    """Return the transition matrix P(j|i) of SGLD between cells of a grid so wide that steps stay inside."""
    h = x[1] - x[0]
    edges = np.concatenate([x - h / 2, [x[-1] + h / 2]])
    middle, width = drift(energy, x, step_size), (2 * step_size * temperature) ** 0.5
    return np.diff(norm.cdf((edges - middle[:, None]) / width), axis=1)
