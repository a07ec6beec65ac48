"""Coordinates for an integral in which the model is about a standard normal."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.data import Batch
from ebm_cli.energy import check_bounded, device_of, energy_and_grad, space_of

# Factor by which the fitted normal is wider than the samples: draws of it must cover the model.
WIDER = 1.1
# Factor by which a box around samples exceeds their range.
BOX_MARGIN = 1.5
# Maximum number of states per call of the energy.
MAX_STATES_PER_CALL = 65536
# Chains beyond this coordinate have diverged and are left out of fits.
MAX_COORDINATE = 1e12


@dataclass(frozen=True)
class Integrand:
    """exp(−E(x)/T) over states of shape `event`.

    energy: E.
    temperature: T (> 0).
    event: shape of one state.
    rows: samples of about its distribution, or None.
    seed: seed of exploring chains.
    clean: the rows before noise was added to them, or None.
    noise: standard deviation of this noise (≥ 0).
    """

    energy: nn.Module
    temperature: float
    event: tuple[int, ...]
    rows: Float[Tensor, "n *event"] | None
    seed: int
    clean: Float[Tensor, "n *event"] | None = None
    noise: float = 0.0

    @staticmethod
    def from_data(
        energy: nn.Module, temperature: float, event: tuple[int, ...], train: Batch | None, noise: float, seed: int
    ) -> "Integrand":
        """Return the integrand of an energy trained on these samples, which contain noise of this size, if any."""
        if train is None:
            return Integrand(energy, temperature, event, None, seed)
        return Integrand(energy, temperature, event, train.x, seed, train.clean, noise)

    @property
    def size(self) -> int:
        """Return the number of coordinates."""
        return math.prod(self.event)


@runtime_checkable
class Coordinates(Protocol):
    """U(z) = E(x(z))/T of a model in the coordinates z that kernels move. log_volume: log |det ∂x/∂z|."""

    log_volume: float

    def __call__(self, z: Float[Tensor, "n *d"], /) -> Float[Tensor, " n"]: ...

    def energy_and_grad(self, z: Float[Tensor, "n *d"], /) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *d"]]: ...

    def states(self, z: Float[Tensor, "n *d"], /) -> Float[Tensor, "n *event"]:
        """Return x(z)."""
        ...

    def coordinates(self, x: Float[Tensor, "n *event"], /) -> Float[Tensor, "n *d"]:
        """Return z of states x."""
        ...

    def model_gradient(self, grad: Float[Tensor, "n *d"], /) -> Float[Tensor, "n *event"]:
        """Return ∇E in x, given ∇U in z."""
        ...


class UnchangedCoordinates(nn.Module):
    """U(x) = E(x)/T: the coordinates are the states."""

    log_volume = 0.0

    def __init__(self, energy: nn.Module, temperature: float) -> None:
        super().__init__()
        self.energy, self.temperature, self.space = energy, temperature, space_of(energy)

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return self.energy(x) / self.temperature

    def energy_and_grad(self, x: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        e, grad = energy_and_grad(self.energy, x)
        return e / self.temperature, grad / self.temperature

    def states(self, z: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        return z

    def coordinates(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        return x

    def model_gradient(self, grad: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        return self.temperature * grad


class StateCoordinates(UnchangedCoordinates):
    """U(x) = E(x)/T of states that cannot be scaled: the coordinates are the states.

    center: a state of zeros, with the type and device of states.
    """

    center: Tensor

    def __init__(self, energy: nn.Module, temperature: float, event: tuple[int, ...]) -> None:
        super().__init__(energy, temperature)
        self.event = event
        center = torch.zeros(event, dtype=torch.get_default_dtype(), device=device_of(energy))
        self.register_buffer("center", center, persistent=False)


class WhitenedEnergy(nn.Module):
    """U(z) = E(m + Lz)/T, so that log Z = log|det L| + log ∫ exp(−U(z)) dz.

    center: m.
    scale_matrix: L, of full rank.
    rows: samples of about the model's distribution, or None.
    """

    center: Tensor
    scale_matrix: Tensor
    rows: Tensor | None

    def __init__(
        self,
        integrand: Integrand,
        center: Float[Tensor, " d"],
        scale_matrix: Float[Tensor, "d d"],
        rows: Float[Tensor, "n *event"] | None = None,
    ) -> None:
        super().__init__()
        self.energy, self.temperature, self.event = integrand.energy, integrand.temperature, integrand.event
        self.rows, self.has_training_rows, self.integrand = rows, integrand.rows is not None, integrand
        self.register_buffer("center", center, persistent=False)
        self.register_buffer("scale_matrix", scale_matrix, persistent=False)
        self.log_volume = float(torch.linalg.slogdet(scale_matrix.double()).logabsdet)

    def with_scale(self, scale_matrix: Float[Tensor, "d d"]) -> "WhitenedEnergy":
        """Return the same energy in coordinates with another scale matrix."""
        return WhitenedEnergy(self.integrand, self.center, scale_matrix, self.rows)

    @property
    def unit_roundoff(self) -> float:
        """Return half the relative distance of neighboring numbers of the dtype in which E is computed."""
        return torch.finfo(self.center.dtype).eps / 2

    def log_density(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """Return −E(m + Lz)/T in double precision on the CPU; −∞ if the energy is not a number.

        Only E is computed in its own precision. Raises InputError if E is −∞.
        """
        scale, center = self.scale_matrix.double().cpu(), self.center.double().cpu()
        parts = []
        for part in z.double().cpu().split(MAX_STATES_PER_CALL):
            x = (center + part @ scale.T).to(self.center).view(len(part), *self.event)
            e = self.energy(x).double().cpu()
            check_bounded(e, x)
            parts.append(torch.where(e.isnan(), -math.inf, -e / self.temperature))
        return torch.cat(parts)

    def position_error(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Return how far rounding of x = m + Lz moves z along each coordinate, doubled for rounding inside E."""
        scale = self.scale_matrix.double().cpu()
        x = self.center.double().cpu() + z @ scale.T
        return 2 * self.unit_roundoff * x.abs() @ torch.linalg.inv(scale).abs().T

    def states(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n *event"]:
        """Return x = m + Lz."""
        return (self.center + z @ self.scale_matrix.T).view(len(z), *self.event)

    def coordinates(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n d"]:
        """Return z of states x."""
        return torch.linalg.solve(self.scale_matrix, (x.flatten(1) - self.center).T).T

    def model_gradient(self, grad: Float[Tensor, "n d"]) -> Float[Tensor, "n *event"]:
        """Return ∇E(x) = T·L⁻ᵀ∇U(z)."""
        return self.temperature * (grad @ self.inverse_scale).view(len(grad), *self.event)

    @cached_property
    def inverse_scale(self) -> Float[Tensor, "d d"]:
        """Return L⁻¹."""
        return torch.linalg.inv(self.scale_matrix)

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return self.energy(self.states(z)) / self.temperature

    def energy_and_grad(self, z: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        e, grad = energy_and_grad(self.energy, self.states(z))
        return e / self.temperature, grad.flatten(1) @ self.scale_matrix / self.temperature


def whiten(integrand: Integrand, rows: Float[Tensor, "n *event"]) -> WhitenedEnergy:
    """Return the coordinates of a normal distribution fitted to the rows."""
    center, scale_matrix = normal_fit(rows.flatten(1))
    return WhitenedEnergy(integrand, center, WIDER * scale_matrix, rows)


def whiten_box(integrand: Integrand, box: list[float]) -> WhitenedEnergy:
    """Return coordinates in which the box with this lower and upper bound of every coordinate is (−1, 1)^d."""
    here = device_of(integrand.energy)
    low, high = (torch.full((integrand.size,), float(bound), device=here) for bound in box)
    return WhitenedEnergy(integrand, (low + high) / 2, torch.diag((high - low) / 2))


def whiten_range(integrand: Integrand, rows: Float[Tensor, "n *event"]) -> WhitenedEnergy:
    """Return coordinates in which 1.5 times the range of the rows is (−1, 1)^d.

    A coordinate that does not vary gets the widest range.
    """
    x = rows.flatten(1)
    x = x[x.isfinite().all(1)]
    low, high = x.amin(0), x.amax(0)
    half = (high - low) / 2
    half = torch.where(half > 0, half, half.max()) * BOX_MARGIN
    return WhitenedEnergy(integrand, (low + high) / 2, torch.diag(half))


def normal_fit(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"]]:
    """Return the mean and the Cholesky factor of the covariance, its off-diagonal shrunk by the fraction d/(n + d).

    A coordinate that does not vary gets a thousandth of the largest standard deviation, as the model may vary there.
    """
    x = x[(x.abs() < MAX_COORDINATE).all(1)]
    n, d = x.shape
    if n < 2:
        return torch.zeros(d).to(x), torch.eye(d).to(x)
    covariance = torch.cov(x.double().T).view(d, d)
    variances = covariance.diagonal()
    largest = float(variances.max()) or 1.0
    diagonal = torch.diag(variances.clamp(min=1e-6 * largest))
    shrunk = n / (n + d) * (covariance - torch.diag(variances)) + diagonal
    return x.mean(0), torch.linalg.cholesky(shrunk).to(x)
