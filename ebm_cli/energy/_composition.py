"""Trained runs as components of an energy, and checks of the values that are given per component."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.energy import declared_attribute, space_of
from ebm_cli.estimate import Estimate


@dataclass(frozen=True)
class TrainedComponent:
    """A trained energy, p ∝ exp(−E/T), opened from the run that a user names.

    An energy with a constructor parameter `runs: list[TrainedComponent]` gets one per folder that its YAML lists.

    name: folder of the run.
    temperature: T at which it was trained (≥ 0).
    log_z: function of (temperature, budget, target) that returns log Z(T) in nats. budget is the maximum number of
        gradients, target the width of the bracket in nats at which to stop.
    """

    name: str
    energy: nn.Module
    event: tuple[int, ...]
    temperature: float
    log_z: Callable[[float, int, float], Estimate]


def notes_of(part: object) -> list[str]:
    """Return the `notes` of a part: sentences about its composition that the verbs print."""
    notes = declared_attribute(part, "notes")
    return notes if isinstance(notes, list) else []


def common_event(parts: list[TrainedComponent]) -> tuple[int, ...]:
    """Return the shape of one state; raise InputError for fewer than two parts or for different shapes."""
    if len(parts) < 2:
        raise InputError(f"runs must name at least two runs, got {len(parts)}")
    if len({part.event for part in parts}) > 1:
        shapes = ", ".join(f"{list(part.event)} of {part.name}" for part in parts)
        raise InputError(f"runs must be of one event shape, got {shapes}")
    return parts[0].event


def common_space(parts: list[TrainedComponent]) -> str:
    """Return the space of the states of all parts; raise InputError if they differ."""
    if len({space_of(part.energy) for part in parts}) > 1:
        spaces = ", ".join(f"{space_of(part.energy)} of {part.name}" for part in parts)
        raise InputError(f"runs must have states of one space, got {spaces}")
    return space_of(parts[0].energy)


def weights_of(parts: list[TrainedComponent], given: list[float] | None) -> list[float]:
    """Return one weight > 0 per part; 1 by default."""
    return check_one_per_part("weights", given if given is not None else [1.0] * len(parts), parts)


def temperatures_of(parts: list[TrainedComponent], given: list[float] | None) -> list[float]:
    """Return one temperature > 0 per part, by default the temperature of its training."""
    if given is not None:
        return check_one_per_part("temperatures", given, parts)
    for part in parts:
        if part.temperature <= 0:
            raise InputError(
                f"temperatures must be given: {part.name} was trained at {part.temperature:g}, without a density"
            )
    return [part.temperature for part in parts]


def check_one_per_part(name: str, values: list[float], parts: list[TrainedComponent]) -> list[float]:
    """Return the values; raise InputError unless they are one number > 0 per part."""
    if not isinstance(values, list) or len(values) != len(parts):
        raise InputError(f"{name} must be a list with one number per run, {len(parts)} in all, got {values}")
    for value in values:
        check.positive(name, value)
    return values
