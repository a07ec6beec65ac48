"""What the contract tests know of each kernel beyond its interface: its own law on a quadratic, if it is biased."""

import numpy as np
import torch
from scipy.linalg import solve_discrete_lyapunov
from torch import Tensor, nn

from ebm_cli.energy import energy_and_grad
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.sampler import Moving, Sampler, State
from tests.contract import build

# A step size at which each kernel takes some proposals on a unit well and refuses others.
MODERATE = {"hmc": 1.2, "nuts": 1.0, "underdamped": 1.0}
LANGEVIN = 0.6


def moderate(name: str, changes: dict | None = None) -> Sampler:
    """The kernel at a step size of the size of a unit well."""
    own = {"leapfrog_steps": 3} if name == "hmc" else {"replicas": 3} if name == "tempering" else {}
    return build("sampler", name, {"step_size": MODERATE.get(name, LANGEVIN), **own, **(changes or {})})


def mixture() -> GaussianMixture:
    """Overlapping, of unequal widths and weights: neither symmetric nor one well."""
    return GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], [0.5, 0.9], [0.3, 0.7])


def covariance(name: str, sampler: Sampler, a: float) -> np.ndarray:
    """The stationary covariance of x, or of (x, v), on E = a/2·x²: C = M C Mᵀ + Q for one step z' = M z + noise."""
    T = sampler.temperature
    return {"sgld": sgld, "sghmc": sghmc, "underdamped": baoab}[name](sampler, a, T)


def sgld(sampler, a: float, T: float) -> np.ndarray:
    return np.array([[(T / a) / (1 - a * sampler.step_size / 2)]])


def sghmc(sampler, a: float, T: float) -> np.ndarray:
    η, α = sampler.step_size, sampler.friction
    m = np.array([[1 - η * a, 1 - α], [-η * a, 1 - α]])
    return solve_discrete_lyapunov(m, np.full((2, 2), 2 * α * η * T))


def baoab(sampler, a: float, T: float) -> np.ndarray:
    η, c = sampler.step_size, np.exp(-sampler.friction * sampler.step_size)
    b = np.array([[1, 0], [-0.5 * η * a, 1]])
    drift = np.array([[1, 0.5 * η], [0, 1]])
    o = np.diag([1, c])
    after = b @ drift
    noise = after @ np.diag([0, (1 - c**2) * T]) @ after.T
    return solve_discrete_lyapunov(after @ o @ drift @ b, noise)


def drawn(name: str, sampler: Sampler, energy: nn.Module, a: float, n: int, rng: torch.Generator) -> tuple:
    """A state of n chains of one coordinate drawn exactly from the kernel's own law on E = a/2·x²."""
    root = torch.from_numpy(np.linalg.cholesky(covariance(name, sampler, a)))
    z = (root @ torch.randn(len(root), n, generator=rng, dtype=torch.float64))[..., None]
    e, grad = energy_and_grad(energy, z[0])
    return State(z[0], e, grad) if len(root) == 1 else Moving(z[0], z[1], e, grad)


def directions(state: tuple) -> dict[str, Tensor]:
    """One number a chain along several directions of (x, v): a law is known by its projections."""
    x = state.x.flatten()
    if not hasattr(state, "v"):
        return {"x": x, "|x|": x.abs()}
    v = state.v.flatten()
    return {"x": x, "v": v, "x+v": x + v, "x-v": x - v, "|x|": x.abs(), "|v|": v.abs()}
