"""The partition function: log Z(T) = log ∫ exp(−E(x)/T) dx, by quadrature or between the ends of a bracket.

Both work in coordinates in which the law is about a standard normal; each has a file here.
"""

from dataclasses import dataclass, field

from ebm_cli.check import InputError
from ebm_cli.energy import HasSpace
from ebm_cli.estimate import Estimate
from ebm_cli.partition.annealing import annealed
from ebm_cli.partition.quadrature import MOST_DIMENSIONS, quadrature
from ebm_cli.partition.recipe import Recipe
from ebm_cli.partition.whitened import Integrand, whitened


@dataclass(frozen=True)
class Found:
    """log Z in nats, and what is to be said of how it was found."""

    estimate: Estimate
    notes: list[str] = field(default_factory=list)


def log_z(integrand: Integrand, recipe: Recipe) -> Found:
    """log Z of the integrand by the recipe's method; InputError where it is not defined or not within reach.

    auto anneals where the grid is refused, too. lower and upper: by quadrature, the value less and plus what half the
    resolution changes; by ais, see `bracket`.
    """
    if isinstance(integrand.energy, HasSpace) and integrand.energy.space != "continuous":
        raise InputError(f"needs a continuous energy: log Z is an integral, this space is {integrand.energy.space}")
    if integrand.temperature <= 0:
        raise InputError(f"needs temperature > 0: at 0 the model is a point, got {integrand.temperature:g}")
    few = integrand.size <= MOST_DIMENSIONS
    if recipe.method == "quadrature" and not few:
        raise InputError(
            f"method=quadrature works in up to {MOST_DIMENSIONS} dimensions, got {integrand.size}: method=ais"
        )
    by_grid = few if recipe.method == "auto" else recipe.method == "quadrature"
    space, notes = whitened(integrand), []
    if by_grid:
        estimate = quadrature(space)
        notes.append(said("quadrature", integrand, estimate))
        if estimate.verdict != "refused" or recipe.method == "quadrature":
            return Found(estimate, notes)
    estimate = annealed(space, recipe, integrand.seed)
    notes.append(said("annealed importance sampling", integrand, estimate))
    return Found(estimate, notes)


def said(way: str, integrand: Integrand, estimate: Estimate) -> str:
    """How log Z was found, and the ends of its bracket where it has any."""
    ends = [
        f"{side} {end:.6g}" for side, end in (("above", estimate.lower), ("below", estimate.upper)) if end is not None
    ]
    bracket = f", {' and '.join(ends)} nats" if ends else ""
    return f"log Z by {way} in {integrand.size} dimensions{bracket}: {estimate.reason}"
