"""The partition function: log Z(T) = log ∫ exp(−E(x)/T) dx, by quadrature or between bounds.

All computations use whitened coordinates. Beyond three dimensions, paths lead from a base distribution to the model:
each way to use them has a file here, and `refinement` repeats it with more temperatures within the budget.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.chain.budget import Budget
from ebm_cli.chain.counted_path import CountedPath, counted
from ebm_cli.check import InputError
from ebm_cli.data import DISCRETE, Batch, _angles
from ebm_cli.energy import CONTINUOUS, device_of, frozen, space_of
from ebm_cli.estimate import Estimate, digits, refused
from ebm_cli.partition.angle_sums import angle_sum
from ebm_cli.partition.closed_form import closed_form_log_z
from ebm_cli.partition.enumeration import exact_log_z
from ebm_cli.partition.hidden_units import with_hidden_units
from ebm_cli.partition.mode_search import search_points
from ebm_cli.partition.quadrature import MAX_DIMENSIONS, FinalRefusal, final_refusal, quadrature
from ebm_cli.partition.rays import not_normalizable
from ebm_cli.partition.reference_states import reference_states
from ebm_cli.partition.refinement import estimate_log_z
from ebm_cli.partition.resolution import N_STATES, path_rounding_refusal, with_resolution, with_rounding
from ebm_cli.partition.settings import LogZSettings
from ebm_cli.path._angle_coordinates import angles_path
from ebm_cli.path._coordinates import Integrand, whiten
from ebm_cli.path._drawn_path import DrawnPath
from ebm_cli.path._fitted_base import fit_base
from ebm_cli.path._site_coordinates import rates_path
from ebm_cli.rng import generator
from ebm_cli.run.shipped import option_name

NAMES = {
    "auto": "annealed paths in both directions",
    "ais": "annealed importance sampling",
    "smc": "sequential Monte Carlo",
    "ti": "thermodynamic integration",
    "bridge": "annealed paths in both directions",
}


@dataclass(frozen=True)
class LogZResult:
    """estimate: log Z in nats. notes: messages on how it was found."""

    estimate: Estimate
    notes: list[str] = field(default_factory=list)


def log_z(integrand: Integrand, settings: LogZSettings, budget: Budget, path: DrawnPath | None = None) -> LogZResult:
    """Return log Z of the integrand by the settings' method; raise InputError if it is undefined or out of reach.

    path: leads through other models, which auto then follows by ti; None for a path from the settings' base.

    log Z of discrete states is a sum over them (`enumeration`), or found along paths if there are too many, and log Z
    of angles is a sum over a grid of them (`angle_sums`), or found along paths beyond three angles. For continuous
    states, auto also uses paths if quadrature is refused, and adds a caution. An integral that does not exist stays
    refused (`rays`, `quadrature`). For the bounds see `quadrature`, `bracket` and `integration`; rounding of E/T widens
    them.
    """
    check_integrand(integrand, settings)
    if space_of(integrand.energy) in DISCRETE:
        return discrete_log_z(integrand, settings, budget)
    if space_of(integrand.energy) == _angles.SPACE:
        return periodic_log_z(integrand, settings, budget)
    if path is not None:
        settings = settings_along(path, settings)
    rows = reference_states(integrand)
    space = whiten(integrand, rows)
    notes, cautions = [], []
    if integrand.size <= MAX_DIMENSIONS and settings.method in ("auto", "quadrature"):
        estimate = quadrature(space)
        notes.append(describe("quadrature", integrand, estimate))
        is_final = estimate.verdict != "refused" or isinstance(estimate, FinalRefusal)
        if is_final or settings.method == "quadrature":
            return LogZResult(estimate, notes)
        cautions.append(f"quadrature is refused: {estimate.reason}")
    else:
        with frozen(space), torch.no_grad():
            divergence = not_normalizable(space, budget)
        if divergence:
            return LogZResult(final_refusal(divergence))
    if refusal := path_rounding_refusal(integrand, rows):
        return LogZResult(refused(refusal, "nats"), [*notes, f"log Z: {refusal}"])
    if path is None:
        estimate = estimate_log_z(annealing_path(integrand, settings, budget, rows), settings, integrand.seed)
    else:
        estimate = along(path, integrand, settings, budget, rows)
    estimate = with_resolution(estimate, integrand, rows, search_points(budget.max_gradients)).with_caution(cautions)
    name = NAMES[settings.method] if path is None else "replica exchange"
    notes.append(describe(name, integrand, estimate))
    return LogZResult(estimate, notes)


def discrete_log_z(integrand: Integrand, settings: LogZSettings, budget: Budget) -> LogZResult:
    """Return log Z of discrete states: in closed form or over all states if possible, otherwise by annealed paths."""
    exact = exact_log_z(integrand) if settings.method == "auto" else None
    if exact is not None:
        return LogZResult(exact)
    integrand = with_hidden_units(integrand)
    path = rates_path(integrand.energy, integrand.temperature, integrand.event, integrand.rows)
    estimate = estimate_log_z(cast(CountedPath, counted(path, budget)), settings, integrand.seed)
    return LogZResult(estimate, [describe(NAMES[settings.method], integrand, estimate)])


def periodic_log_z(integrand: Integrand, settings: LogZSettings, budget: Budget) -> LogZResult:
    """Return log Z of periodic states: in closed form, by a sum over a grid of angles, or by annealed paths.

    Paths follow if the sum is refused, with a caution.
    """
    exact = closed_form_log_z(integrand.energy, integrand.temperature, "in closed form")
    if exact is not None and settings.method == "auto":
        return LogZResult(exact)
    notes, cautions = [], []
    if integrand.size <= MAX_DIMENSIONS and settings.method in ("auto", "quadrature"):
        estimate = angle_sum(integrand)
        notes.append(describe("a sum over a grid of angles", integrand, estimate))
        if estimate.verdict != "refused" or isinstance(estimate, FinalRefusal) or settings.method == "quadrature":
            return LogZResult(estimate, notes)
        cautions.append(f"the sum over a grid is refused: {estimate.reason}")
    points = uniform_angles(integrand)
    if refusal := path_rounding_refusal(integrand, points):
        return LogZResult(refused(refusal, "nats"), [*notes, f"log Z: {refusal}"])
    path = cast(CountedPath, counted(angles_path(integrand.energy, integrand.temperature, integrand.event), budget))
    estimate = estimate_log_z(path, settings, integrand.seed)
    estimate = with_rounding(estimate, integrand, points).with_caution(cautions)
    return LogZResult(estimate, [*notes, describe(NAMES[settings.method], integrand, estimate)])


def uniform_angles(integrand: Integrand) -> Float[Tensor, "n *event"]:
    """Return uniform states at which rounding of the energy is measured."""
    rng = generator(integrand.seed, "partition/rounding", device_of(integrand.energy))
    return _angles.uniform(N_STATES, integrand.event, rng, torch.get_default_dtype())


def check_integrand(integrand: Integrand, settings: LogZSettings) -> None:
    """Raise InputError unless the settings' method applies to the integrand."""
    space = space_of(integrand.energy)
    if space in DISCRETE and settings.method == "quadrature":
        raise InputError(f"method=quadrature needs continuous states, this space is {space}: method=auto")
    if space not in CONTINUOUS and settings.base != "auto":
        other = "path=rates" if space in DISCRETE else "path.base=auto"
        raise InputError(f"path.base={settings.base} needs continuous states, this space is {space}: {other}")
    if integrand.temperature <= 0:
        raise InputError(f"needs temperature > 0: at 0 the model is a point, got {integrand.temperature:g}")
    if settings.method == "quadrature" and integrand.size > MAX_DIMENSIONS:
        raise InputError(
            f"method=quadrature works in up to {MAX_DIMENSIONS} dimensions, got {integrand.size}: method=auto"
        )


def annealing_path(
    integrand: Integrand, settings: LogZSettings, budget: Budget, rows: Float[Tensor, "n *event"]
) -> CountedPath:
    """Return the path from the settings' base distribution to the model. rows: approximate samples of the model."""
    return CountedPath(*fit_base(integrand, rows, settings.base, settings.box), budget)


def settings_along(path: DrawnPath, settings: LogZSettings) -> LogZSettings:
    """Return the settings for a path through other models. Raises InputError if their method does not follow it."""
    if settings.method not in ("auto", "ti"):
        name = option_name(f"{type(path).__module__}.{type(path).__name__}")
        raise InputError(f"method={settings.method} does not follow path={name}. Type method=ti, or path=base")
    return dataclasses.replace(settings, method="ti")


def along(
    path: DrawnPath, integrand: Integrand, settings: LogZSettings, budget: Budget, rows: Float[Tensor, "n *event"]
) -> Estimate:
    """Return log Z by replicas along a path through other models. rows: approximate samples of the model."""
    if path.data is None:
        path = dataclasses.replace(path, data=Batch(rows))
    through = path.with_candidates(integrand.energy)
    with torch.no_grad():
        counted_path = counted(through.annealing_path(integrand.energy, integrand.temperature), budget)
    return estimate_log_z(counted_path, settings, integrand.seed, chooses_anchors=through is not path)


def describe(method: str, integrand: Integrand, estimate: Estimate) -> str:
    """Return how log Z was found, with its bounds if there are any."""
    bounds = [
        f"{side} {digits(bound, 6)}"
        for side, bound in (("above", estimate.lower), ("below", estimate.upper))
        if bound is not None
    ]
    bracket = f", {' and '.join(bounds)} nats" if bounds else ""
    return f"log Z by {method} in {integrand.size} dimensions{bracket}: {estimate.reason}"
