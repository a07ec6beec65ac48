"""The partition function: log Z(T) = log ∫ exp(−E(x)/T) dx, by quadrature or between the ends of a bracket.

All of it works in coordinates of its own (`whitened`). Beyond three dimensions a path leads from a law whose normaliser
is known (`base`, `path`, `pilot`); each way to use it has a file here, and `rounds` spends what may be spent.
"""

from dataclasses import dataclass, field

import torch

from ebm_cli.check import InputError
from ebm_cli.density.mixture import MOST_COORDINATES
from ebm_cli.energy import frozen, space_of
from ebm_cli.estimate import Estimate, digits, refused
from ebm_cli.partition.base import Box, Mixture, Normal
from ebm_cli.partition.path import Way
from ebm_cli.partition.quadrature import MOST_DIMENSIONS, FinalRefusal, quadrature
from ebm_cli.partition.rays import not_normalizable
from ebm_cli.partition.recipe import Recipe
from ebm_cli.partition.resolution import resolved, too_coarse
from ebm_cli.partition.rounds import closed
from ebm_cli.partition.spending import Spending
from ebm_cli.partition.unseen import looks_within
from ebm_cli.partition.whitened import WIDER, Integrand, boxed, known, whitened

NAMES = {
    "auto": "annealed paths both ways",
    "ais": "annealed importance sampling",
    "smc": "sequential Monte Carlo",
    "ti": "thermodynamic integration",
    "bridge": "annealed paths both ways",
}


@dataclass(frozen=True)
class Found:
    """log Z in nats, and what is to be said of how it was found."""

    estimate: Estimate
    notes: list[str] = field(default_factory=list)


def log_z(integrand: Integrand, recipe: Recipe, spending: Spending) -> Found:
    """log Z of the integrand by the recipe's method; InputError where it is not defined or not within reach.

    auto takes paths where cubature is refused, too, and says so; but an integral that does not exist stays refused
    (`rays`, `quadrature`). lower and upper: see `quadrature`, `bracket` and `integration`; rounding of E/T widens them.
    """
    space = space_of(integrand.energy)
    if space != "continuous":
        raise InputError(f"needs a continuous energy: log Z is an integral, this space is {space}")
    if integrand.temperature <= 0:
        raise InputError(f"needs temperature > 0: at 0 the model is a point, got {integrand.temperature:g}")
    few = integrand.size <= MOST_DIMENSIONS
    if recipe.method == "quadrature" and not few:
        raise InputError(
            f"method=quadrature works in up to {MOST_DIMENSIONS} dimensions, got {integrand.size}: method=auto"
        )
    rows = known(integrand)
    own = whitened(integrand, rows)
    notes, doubts = [], []
    if few and recipe.method in ("auto", "quadrature"):
        estimate = quadrature(own)
        notes.append(said("quadrature", integrand, estimate))
        overruled = estimate.verdict == "refused" and not isinstance(estimate, FinalRefusal)
        if not overruled or recipe.method == "quadrature":
            return Found(estimate, notes)
        doubts.append(f"quadrature is refused: {estimate.reason}")
    else:
        with frozen(own), torch.no_grad():
            divergence = not_normalizable(own, spending)
        if divergence:
            return Found(FinalRefusal(None, unit="nats", verdict="refused", reasons=(divergence,)))
    if refusal := too_coarse(integrand, rows):
        return Found(refused(refusal, "nats"), [*notes, f"log Z: {refusal}"])
    estimate = closed(way(integrand, recipe, spending), recipe, integrand.seed)
    estimate = resolved(estimate, integrand, rows, looks_within(spending.budget)).with_caution(doubts)
    notes.append(said(NAMES[recipe.method], integrand, estimate))
    return Found(estimate, notes)


def way(integrand: Integrand, recipe: Recipe, spending: Spending) -> Way:
    """The model in its coordinates, and the base that the recipe names."""
    if recipe.base == "box":
        space = boxed(integrand, recipe.box)
        return Way(space, Box(space.middle), spending)
    few = integrand.size <= MOST_COORDINATES
    if recipe.base == "mixture" and not few:
        raise InputError(f"base=mixture works in up to {MOST_COORDINATES} dimensions, got {integrand.size}: gaussian")
    rows = known(integrand)
    space = whitened(integrand, rows)
    if recipe.base == "mixture" or (recipe.base == "auto" and few and integrand.rows is not None):
        plain = rows if integrand.clean is None else integrand.clean
        return Way(space, Mixture(space, plain, 0.0 if integrand.clean is None else integrand.noise, WIDER), spending)
    return Way(space, Normal(space.middle), spending)


def said(how: str, integrand: Integrand, estimate: Estimate) -> str:
    """How log Z was found, and the ends of its bracket where it has any."""
    ends = [
        f"{side} {digits(end, 6)}"
        for side, end in (("above", estimate.lower), ("below", estimate.upper))
        if end is not None
    ]
    bracket = f", {' and '.join(ends)} nats" if ends else ""
    return f"log Z by {how} in {integrand.size} dimensions{bracket}: {estimate.reason}"
