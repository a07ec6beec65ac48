"""Coordinates for an integral: those in which the model is about a standard normal."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.chain.burn_in import Tuning
from ebm_cli.chain.loop import run_chains
from ebm_cli.data import Batch
from ebm_cli.energy import check_bounded, device_of, energy_and_grad
from ebm_cli.rng import generator
from ebm_cli.sampler.hmc import HMC

# The normal is this many times as wide as the rows: its draws must cover the model.
WIDER = 1.1
# A box around rows is this many times their extent.
ROOMIER = 1.5
# States per call of the energy.
CHUNK = 65536
# States further off than this have run away: their spread says nothing of the model's.
RUNAWAY = 1e12
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

    middle: m. root: L, of full rank. rows: states known of about the model's law, where there are any. has_rows:
    whether these are training rows.
    """

    middle: Tensor
    root: Tensor
    rows: Tensor | None

    def __init__(
        self,
        integrand: Integrand,
        middle: Float[Tensor, " d"],
        root: Float[Tensor, "d d"],
        rows: Float[Tensor, "n *event"] | None = None,
    ) -> None:
        super().__init__()
        self.energy, self.temperature, self.event = integrand.energy, integrand.temperature, integrand.event
        self.rows, self.has_rows, self.integrand = rows, integrand.rows is not None, integrand
        self.register_buffer("middle", middle, persistent=False)
        self.register_buffer("root", root, persistent=False)
        self.log_volume = float(torch.linalg.slogdet(root.double()).logabsdet)

    def with_root(self, root: Float[Tensor, "d d"]) -> "Whitened":
        """The same with another root."""
        return Whitened(self.integrand, self.middle, root, self.rows)

    @property
    def unit_roundoff(self) -> float:
        """Half the relative distance of neighboring numbers of the type in which the energy is computed."""
        return torch.finfo(self.middle.dtype).eps / 2

    def log_density(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """−E(m + Lz)/T in double precision on the CPU; −∞ where the energy is not a number.

        E alone is computed in the energy's own precision. Raises InputError where E is −∞.
        """
        root, middle = self.root.double().cpu(), self.middle.double().cpu()
        parts = []
        for part in z.double().cpu().split(CHUNK):
            x = (middle + part @ root.T).to(self.middle).view(len(part), *self.event)
            e = self.energy(x).double().cpu()
            check_bounded(e, x)
            parts.append(torch.where(e.isnan(), -math.inf, -e / self.temperature))
        return torch.cat(parts)

    def position_error(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """How far rounding of x = m + Lz, and of as much again inside the energy, moves z along each coordinate."""
        root = self.root.double().cpu()
        x = self.middle.double().cpu() + z @ root.T
        return 2 * self.unit_roundoff * x.abs() @ torch.linalg.inv(root).abs().T

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
    return Whitened(integrand, middle, WIDER * root, rows)


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
    x = x[(x.abs() < RUNAWAY).all(1)]
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
    kernel = HMC(0.1, leapfrog_steps=5, jitter=0.3, short=0.0, temperature=1.0, scales=None)
    half, tuning = STEPS // 2, Tuning("step")
    moved = run_chains(kernel, plain, z, half, rng, burn_in=half, tuning=tuning, thin=half // DRAWS)
    return plain.states(moved.x.flatten(0, 1))
