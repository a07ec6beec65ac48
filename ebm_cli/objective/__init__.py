"""Objectives: what training minimises. Every other file in this folder is one of them.

An objective is an `nn.Module`; its buffers, a second network and, through `get_extra_state`, an optimizer of
its own are saved with the run. Sampler, start and data reach it from the verb, never through its YAML.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Data, KnownDensity, known
from ebm_cli.energy import energy_and_grad, frozen
from ebm_cli.sampler import Sampler

# Rows repeat if a smaller fraction of them differs; a coordinate does if it has few values, each in several rows.
DISTINCT_ROWS = 0.95
FEW_VALUES, ROWS_PER_VALUE = 64, 4


@dataclass(frozen=True)
class Outcome:
    """One step's loss and both phases; None where a part does not exist.

    loss: what is differentiated. x_data, e_data: the positive phase; x_model, e_model: the negative one.
    clean: the rows of x_data before noise.
    scalars: further figures to log, by name; tensors of one number. measures: those that cost something, called only
    when a step is logged, after its update.
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
    """Base of all objectives: `forward(energy, batch, rng) -> Outcome`."""

    @property
    def has_chains(self) -> bool:
        """Whether every outcome has x_model."""
        return True

    def suits(self, energy: nn.Module, event: tuple[int, ...]) -> None:
        """Raise InputError, with the reason, for an energy that it cannot train."""


@runtime_checkable
class LeadsSamples(Protocol):
    """A class of objectives whose models have a start of their own: chains of its runs begin there unless told."""

    @staticmethod
    def start_of(node: dict[str, Any]) -> dict[str, Any]:
        """The start's `_target_` and values, from the objective's own of a run."""
        ...


def check_together(
    objective: Objective, energy: nn.Module, event: tuple[int, ...], regularizers: Iterable[tuple[str, object]]
) -> None:
    """Raise InputError for an energy or regularizers, by name, that do not go with this objective."""
    lacking = [
        f"regularizer.{name} needs chains from the first step on, which this objective has none of: use "
        "objective=contrastive"
        for name, regularizer in regularizers
        if getattr(regularizer, "needs_chains", False) and not objective.has_chains
    ]
    if lacking:
        raise InputError(*lacking)
    objective.suits(energy, event)


def refuse_repeats(data: Data) -> None:
    """Raise InputError for rows on which score matching has no minimum: they repeat and carry no noise.

    Where rows or values of a coordinate repeat, E'' grows on them without bound and the loss falls to −∞.
    """
    if data.noise > 0 or not data.finite:
        return
    rows = known(data).x.flatten(1)
    distinct, fewest = len(rows.unique(dim=0)), min(len(column.unique()) for column in rows.T)
    if distinct < DISTINCT_ROWS * len(rows):
        what = f"only {distinct} of {len(rows)} rows differ"
    elif fewest <= FEW_VALUES and ROWS_PER_VALUE * fewest <= len(rows):
        what = f"a coordinate has only {fewest} values in {len(rows)} rows"
    else:
        return
    raise InputError(
        f"data.noise must be > 0 for score matching, which has no minimum here: {what}; try data.noise=0.1"
    )


def temperature_of(sampler: Sampler) -> float:
    """The temperature at which a model is trained; InputError at 0."""
    if sampler.temperature == 0:
        raise InputError("sampler.temperature must be > 0 in training: at 0 a model is a point, without a density")
    return sampler.temperature


def fisher_divergence(energy: nn.Module, x: Float[Tensor, "n *event"], data: KnownDensity, T: float) -> Tensor:
    """½ mean ‖∇log p(x) + ∇E(x)/T‖² over rows of data with density p: 0 for the true energy alone."""
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        (score,) = torch.autograd.grad(data.log_prob(x).sum(), x)
    with frozen(energy):
        _, grad = energy_and_grad(energy, x)
    return 0.5 * (score + grad / T).flatten(1).square().sum(1).mean()


def fisher(
    energy: nn.Module, x: Float[Tensor, "n *event"], data: Data | None, T: float
) -> dict[str, Callable[[], Tensor]]:
    """The Fisher divergence as a measure of an outcome, where the data's density is known."""
    if not isinstance(data, KnownDensity):
        return {}
    return {"fisher_divergence": lambda: fisher_divergence(energy, x, data, T)}
