"""What energies composed of trained runs share: the parts as they are handed in, and checks of what is given a part."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.energy import declared
from ebm_cli.estimate import Estimate


@dataclass(frozen=True)
class Part:
    """A trained energy, p ∝ exp(−E/T), opened from the run that a user names.

    An energy whose constructor asks for `runs: list[Part]` is given these for the folders that its YAML lists.

    name: the run's folder. temperature: T ≥ 0 at which it was trained. log_z: (temperature, budget, target) to log Z(T)
    in nats, from at most so many gradients, its bracket as narrow as the target where that is within reach.
    """

    name: str
    energy: nn.Module
    event: tuple[int, ...]
    temperature: float
    log_z: Callable[[float, int, float], Estimate]


def notes_of(part: object) -> list[str]:
    """What a part declares as `notes`: full sentences on how it was put together, which the verbs print."""
    notes = declared(part, "notes")
    return notes if isinstance(notes, list) else []


def common_event(parts: list[Part]) -> tuple[int, ...]:
    """The shape of one state; InputError for fewer than two parts and for parts that do not share one shape."""
    if len(parts) < 2:
        raise InputError(f"runs must name at least two runs, got {len(parts)}")
    if len({part.event for part in parts}) > 1:
        shapes = ", ".join(f"{list(part.event)} of {part.name}" for part in parts)
        raise InputError(f"runs must be of one event shape, got {shapes}")
    return parts[0].event


def weights_of(parts: list[Part], given: list[float] | None) -> list[float]:
    """The weight > 0 of every part, 1 each where none are given."""
    return one_each("weights", given if given is not None else [1.0] * len(parts), parts)


def temperatures_of(parts: list[Part], given: list[float] | None) -> list[float]:
    """The temperature > 0 of every part, its own in training where none are given."""
    if given is not None:
        return one_each("temperatures", given, parts)
    for part in parts:
        if part.temperature <= 0:
            raise InputError(f"temperatures must be given: {part.name} was trained at {part.temperature:g}, a point")
    return [part.temperature for part in parts]


def one_each(name: str, values: list[float], parts: list[Part]) -> list[float]:
    """The values; InputError unless they are one number > 0 a part."""
    if not isinstance(values, list) or len(values) != len(parts):
        raise InputError(f"{name} must be a list with one number a run, {len(parts)} in all, got {values}")
    for value in values:
        check.positive(name, value)
    return values
