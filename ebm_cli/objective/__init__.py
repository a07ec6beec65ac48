"""Objectives: the losses that training minimizes; one file per objective.

An objective is an `nn.Module`. Its buffers, its own networks and, through `get_extra_state`, its own optimizer are
saved with the run. The verb passes sampler, start and data to it; YAML does not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.sampler import Sampler


@dataclass(frozen=True)
class Outcome:
    """The loss and both phases of one step; None for parts that do not exist.

    loss: the number that is differentiated.
    x_data, e_data: states and energies of the positive phase.
    x_model, e_model: states and energies of the negative phase.
    clean: the states of x_data before noise.
    scalars: further tensors of one number to log, by name.
    measures: scalars that are expensive. They are called only for logged steps, after the update.
    """

    loss: Float[Tensor, ""]
    x_data: Float[Tensor, "n *event"]
    e_data: Float[Tensor, " n"]
    x_model: Float[Tensor, "m *event"] | None = None
    e_model: Float[Tensor, " m"] | None = None
    clean: Float[Tensor, "n *event"] | None = None
    scalars: dict[str, Tensor] = field(default_factory=dict)
    measures: dict[str, Callable[[], Tensor]] = field(default_factory=dict)


class Objective(nn.Module):
    """Base of all objectives: `forward(energy, batch, rng) -> Outcome`.

    has_chains: True if every outcome has x_model.
    """

    has_chains = True

    def check_energy(self, energy: nn.Module, event: tuple[int, ...]) -> None:
        """Raise InputError, with the reason, for an energy that this objective cannot train."""


def check_compatible(
    objective: Objective, energy: nn.Module, event: tuple[int, ...], regularizers: Iterable[tuple[str, object]]
) -> None:
    """Raise InputError if the energy or any of the named regularizers cannot be used with this objective."""
    without_chains = [
        f"regularizer.{name} needs chains from the first step on, but this objective has none. Use "
        "objective=contrastive"
        for name, regularizer in regularizers
        if getattr(regularizer, "needs_chains", False) and not objective.has_chains
    ]
    if without_chains:
        raise InputError(*without_chains)
    objective.check_energy(energy, event)


def temperature_of(sampler: Sampler) -> float:
    """Return the temperature at which a model is trained; raise InputError at 0."""
    if sampler.temperature == 0:
        raise InputError(
            "sampler.temperature must be > 0 for training: at temperature 0 the sampler is gradient descent and "
            "defines no distribution"
        )
    return sampler.temperature
