"""Maximum likelihood itself: the negative phase in closed form, or on a grid."""

import math

import torch
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.energy import LogPartition, offers
from ebm_cli.grid import MAX_DIMENSIONS, Grid, check_grid
from ebm_cli.objective import Objective, Outcome, temperature_of
from ebm_cli.sampler import Sampler


class Exact(Objective):
    """loss = mean E(x_data)/T + log Z(T), the negative log-likelihood in nats a row.

    Its gradient is (⟨∂E/∂θ⟩_data − ⟨∂E/∂θ⟩_model)/T with the second mean exact, as ∂log Z/∂θ = −⟨∂E/∂θ⟩_model/T:
    what contrastive training has from chains. log Z is the energy's own where it has a closed form, else, in one to
    three dimensions, the sum over a grid that follows the model; see `grid` for its error. No bias; the grid's points
    are a pass of the network each step.

    points, refresh, tolerance: of the grid. Raises InputError for an energy with neither a closed form at T nor so few
    dimensions, and in training when no grid holds the model.
    """

    def __init__(
        self,
        points: int | None,
        refresh: int,
        tolerance: float,
        event: tuple[int, ...],
        data: Data,
        sampler: Sampler,
    ) -> None:
        super().__init__()
        check_grid(points, refresh, tolerance)
        self.temperature = temperature_of(sampler)
        fits = math.prod(event) <= MAX_DIMENSIONS
        self.grid = Grid(data.split("train").x, points, refresh, tolerance) if fits else None

    @property
    def has_chains(self) -> bool:
        return False

    def suits(self, energy: nn.Module, event: tuple[int, ...]) -> None:
        if self.grid is None and closed_form(energy, self.temperature) is None:
            raise InputError(
                f"objective=exact needs log Z: a closed form, which this energy has none of at temperature "
                f"{self.temperature:g}, or at most {MAX_DIMENSIONS} dimensions, got {math.prod(event)}; use "
                "objective=contrastive or another without log Z"
            )

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:  # noqa: ARG002
        T = self.temperature
        e_data = energy(batch.x)
        log_z = closed_form(energy, T)
        if log_z is None:
            assert self.grid is not None
            log_z = self.grid.log_partition(energy, T)
        loss = (e_data.mean() / T + log_z).to(e_data.dtype)
        return Outcome(loss=loss, x_data=batch.x, e_data=e_data, clean=batch.clean, scalars={"log_z": log_z})


def closed_form(energy: nn.Module, temperature: float) -> Tensor | None:
    """log Z(T) where the energy has it by formula, None where it has not."""
    if not offers(energy, LogPartition):
        return None
    try:
        return energy.log_partition(temperature)
    except ValueError:
        return None
