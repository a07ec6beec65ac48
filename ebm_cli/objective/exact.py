"""Exact maximum likelihood: the negative phase in closed form, on a grid, or over all states."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data, _angles
from ebm_cli.data._sites import Sites
from ebm_cli.energy import DISCRETE, space_of
from ebm_cli.energy._capabilities import LogPartition, offers
from ebm_cli.grid import MAX_DIMENSIONS, AngleGrid, Grid, check_grid
from ebm_cli.objective import Objective, Outcome, temperature_of
from ebm_cli.sampler import Sampler

# The largest number of bits whose states are summed over in every step.
MAX_BITS = 16


class Exact(Objective):
    """loss = mean E(x_data)/T + log Z(T), the negative log-likelihood in nats per sample.

    Its gradient is (⟨∂E/∂θ⟩_data − ⟨∂E/∂θ⟩_model)/T with an exact second mean, because ∂log Z/∂θ = −⟨∂E/∂θ⟩_model/T.
    Contrastive training estimates that mean from chains. log Z comes from the energy's closed form, if it is known;
    otherwise, in up to three dimensions, from the sum over a grid that follows the model. `grid` states its error. For
    discrete states without a closed form it is the sum over all of them, up to 2^16. The gradient is unbiased. Each
    step evaluates the network at all grid points, or at all states.

    grid_points, recheck_every, tolerance: points, refresh and tolerance of `Grid`. The grid of angles (`AngleGrid`)
        needs only the tolerance.

    Raises InputError for an energy without closed form at T in more dimensions, and in training if no grid holds the
    mass of the model.
    """

    has_chains = False

    def __init__(
        self,
        grid_points: int | None,
        recheck_every: int,
        tolerance: float,
        event: tuple[int, ...],
        data: Data,
        sampler: Sampler,
    ) -> None:
        super().__init__()
        check_grid(grid_points, recheck_every, tolerance)
        self.temperature = temperature_of(sampler)
        fits = math.prod(event) <= MAX_DIMENSIONS and space_of(data) not in DISCRETE
        self.grid: Grid | AngleGrid | None = None
        if fits and space_of(data) == _angles.SPACE:
            self.grid = AngleGrid(event, tolerance)
        elif fits:
            self.grid = Grid(data.split("train").x, grid_points, recheck_every, tolerance)

    def check_energy(self, energy: nn.Module, event: tuple[int, ...]) -> None:
        if self.grid is not None or closed_form_log_z(energy, self.temperature) is not None:
            return
        if (space := space_of(energy)) in DISCRETE:
            bits = Sites(space, event).bits
            if bits > MAX_BITS:
                raise InputError(
                    f"objective=exact sums over all states where log Z has no closed form, at most 2^{MAX_BITS}, got "
                    f"2^{bits:.0f}. Use objective=contrastive or another objective without log Z"
                )
        else:
            raise InputError(
                f"objective=exact needs log Z: this energy has no closed form at temperature {self.temperature:g}, and "
                f"a grid works in at most {MAX_DIMENSIONS} dimensions, got {math.prod(event)}. Use "
                "objective=contrastive or another objective without log Z"
            )

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:  # noqa: ARG002
        T = self.temperature
        e_data = energy(batch.x)
        log_z = closed_form_log_z(energy, T)
        if log_z is None:
            log_z = log_sum(energy, batch.x, T) if self.grid is None else self.grid.log_partition(energy, T)
        loss = (e_data.mean() / T + log_z).to(e_data.dtype)
        return Outcome(loss=loss, x_data=batch.x, e_data=e_data, clean=batch.clean, scalars={"log_z": log_z})


def log_sum(energy: nn.Module, like: Float[Tensor, "n *event"], temperature: float) -> Float[Tensor, ""]:
    """Return log Σ exp(−E/T) over all states of the shape of these rows, in double precision."""
    sites = Sites(space_of(energy), tuple(like.shape[1:]))
    return (-energy(sites.all_states(like.device, like.dtype)).double() / temperature).logsumexp(0)


def closed_form_log_z(energy: nn.Module, temperature: float) -> Tensor | None:
    """Return log Z(T) if the energy has a closed form at T, None otherwise."""
    if not offers(energy, LogPartition):
        return None
    try:
        return energy.log_partition(temperature)
    except ValueError:
        return None
