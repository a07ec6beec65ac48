"""Coordinates for an integral: those in which the model is about a standard normal."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.chains import run_chains
from ebm_cli.data import Batch
from ebm_cli.energy import device_of, energy_and_grad
from ebm_cli.rng import generator
from ebm_cli.sampler.hmc import HMC

# The normal is this many times as wide as the rows: its draws must cover the model.
WIDER = 1.1
# A box around rows is this many times their extent.
ROOMIER = 1.5
# Chains that look around where there are no rows.
CHAINS, STEPS, DRAWS = 64, 200, 20


@dataclass(frozen=True)
class Integrand:
    """exp(−E(x)/T) over states of shape `event`. rows: states of about its law, where any are known. seed: of chains.

    temperature: T > 0. clean: the rows before noise σ was added to them, where there are such.
    """

    energy: nn.Module
    temperature: float
    event: tuple[int, ...]
    rows: Float[Tensor, "n *event"] | None
    seed: int
    clean: Float[Tensor, "n *event"] | None = None
    noise: float = 0.0

    @staticmethod
    def of(
        energy: nn.Module, temperature: float, event: tuple[int, ...], train: Batch | None, noise: float, seed: int
    ) -> "Integrand":
        """That of an energy trained on these rows, σ of whose noise is in them; of one without any."""
        if train is None:
            return Integrand(energy, temperature, event, None, seed)
        return Integrand(energy, temperature, event, train.x, seed, train.clean, noise)

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return math.prod(self.event)


class Whitened(nn.Module):
    """U(z) = E(m + Lz)/T, so that log Z = log|det L| + log ∫ exp(−U(z)) dz.

    middle: m. root: L, of full rank.
    """

    middle: Tensor
    root: Tensor

    def __init__(self, integrand: Integrand, middle: Float[Tensor, " d"], root: Float[Tensor, "d d"]) -> None:
        super().__init__()
        self.energy, self.temperature, self.event = integrand.energy, integrand.temperature, integrand.event
        self.register_buffer("middle", middle, persistent=False)
        self.register_buffer("root", root, persistent=False)
        self.log_volume = float(torch.linalg.slogdet(root.double()).logabsdet)

    def states(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n *event"]:
        """x = m + Lz."""
        return (self.middle + z @ self.root.T).view(len(z), *self.event)

    def coordinates(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n d"]:
        """z of states x."""
        return torch.linalg.solve(self.root, (x.flatten(1) - self.middle).T).T

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return self.energy(self.states(z)) / self.temperature

    def energy_and_grad(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        e, grad = energy_and_grad(self.energy, self.states(z))
        return e / self.temperature, grad.flatten(1) @ self.root / self.temperature


def whitened(integrand: Integrand, rows: Float[Tensor, "n *event"]) -> Whitened:
    """The coordinates of a normal law fitted to the rows."""
    middle, root = normal_fit(rows.flatten(1))
    return Whitened(integrand, middle, WIDER * root)


def boxed(integrand: Integrand, box: list[float] | None) -> Whitened:
    """Coordinates in which a box is (−1, 1)^d: the same low and high end of every side, or one around the rows.

    That one has half as much again of the rows' extent, and of the widest where a coordinate does not vary.
    """
    here = device_of(integrand.energy)
    if box is not None:
        low, high = (torch.full((integrand.size,), float(end), device=here) for end in box)
    else:
        x = known(integrand).flatten(1)
        x = x[x.isfinite().all(1)]
        low, high = x.amin(0), x.amax(0)
    half = (high - low) / 2
    half = torch.where(half > 0, half, half.max()) * (1.0 if box is not None else ROOMIER)
    return Whitened(integrand, (low + high) / 2, torch.diag(half))


def known(integrand: Integrand) -> Float[Tensor, "n *event"]:
    """States of about the model's law: the rows, or where there are none those that short chains come to."""
    return integrand.rows if integrand.rows is not None else explored(integrand)


def normal_fit(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Mean and Cholesky root of the covariance, its off-diagonal drawn to 0 by the share d/(n + d).

    A coordinate that does not vary gets a thousandth of the largest spread, as a model may still spread there.
    """
    x = x[x.isfinite().all(1)]
    n, d = x.shape
    if n < 2:
        return torch.zeros(d).to(x), torch.eye(d).to(x)
    covariance = torch.cov(x.double().T).view(d, d)
    spread = covariance.diagonal()
    largest = float(spread.max()) or 1.0
    own = torch.diag(spread.clamp(min=1e-6 * largest))
    drawn = n / (n + d) * (covariance - torch.diag(spread)) + own
    return x.mean(0), torch.linalg.cholesky(drawn).to(x)


def explored(integrand: Integrand) -> Float[Tensor, "n *event"]:
    """States of short chains begun at standard normal noise, the second half of each."""
    here = device_of(integrand.energy)
    rng = generator(integrand.seed, "partition/explore", here)
    d = integrand.size
    plain = Whitened(integrand, torch.zeros(d, device=here), torch.eye(d, device=here))
    z = torch.randn(CHAINS, d, generator=rng, device=here)
    kernel = HMC(0.1, leapfrog_steps=5, jitter=0.3, temperature=1.0, scales=None, adapt="step", target=0.8)
    moved = run_chains(kernel, plain, z, STEPS // 2, rng, burn_in=STEPS // 2, thin=STEPS // 2 // DRAWS)
    return plain.states(moved.x.flatten(0, 1))
