"""What limits an estimate of log Z: the precision of the energy's numbers, and modes too narrow to be found."""

import dataclasses
import math

import torch
from torch import Tensor, nn

from ebm_cli.energy import declared_attribute
from ebm_cli.estimate import Estimate
from ebm_cli.partition.mode_search import RULE_OF_THREE, WIDTHS
from ebm_cli.path._coordinates import Integrand
from ebm_cli.wells.descent import values

# Change of log Z by rounding, in nats, above which a caution is given, and above which no value is given.
CAUTION_ABOVE, REFUSE_ABOVE = 0.01, 1.0
# Factor of the rounding of E/T on a path, which computes U₀ + β(U − U₀).
PATH_ROUNDING = 2.0
# Number of states at which the size of E is measured.
N_STATES = 512


def is_known_smooth(energy: nn.Module) -> bool:
    """Return True if all code that computes E is of this package or torch, whose energies have no hidden narrow mode.

    An energy that may have one declares how narrow (`narrowest_mode`), and so does a part of a composition.
    """
    return all(
        type(part).__module__.split(".")[0] in ("ebm_cli", "torch") and narrowest_mode(part) is None
        for part in energy.modules()
    )


def narrowest_mode(energy: nn.Module) -> float | None:
    """Return the width, in units of x, below which an energy has no mode, if its class declares one."""
    width = (
        getattr(energy, "narrowest_mode", None) if declared_attribute(energy, "narrowest_mode") is not None else None
    )
    return float(width) if isinstance(width, int | float) else None


def resolution(width: float, beyond: dict[float, float] | None = None) -> str:
    """Return which modes are missed.

    width: in units of x.
    beyond: larger widths, by distance in standard deviations.
    """
    each = [f"{far:.2g} up to {half:g} standard deviations out" for half, far in (beyond or {}).items()]
    out = f" ({', '.join(each)})" if each else ""
    return f"a mode narrower than {width:.2g} in x{out} is missed unless E slopes toward it"


def narrow_mode_cautions(energy: nn.Module, width: float) -> list[str]:
    """Return the caution that an energy may have modes narrower than this, unless its class declares a larger width."""
    own = narrowest_mode(energy)
    if own is not None and own >= width:
        return []
    return [f"this energy may have such modes: if it has none, declare narrowest_mode = {width:.2g} in its class"]


def rounding_cautions(dtype: torch.dtype, rounding: float) -> list[str]:
    """Return the caution that rounding may change log Z by this many nats, if that is much."""
    if rounding <= CAUTION_ABOVE:
        return []
    return [f"{dtype_name(dtype)} resolves log Z to {rounding:.2g} nats only; dtype=float64 resolves more"]


def rounding_refusal(dtype: torch.dtype, rounding: float) -> str:
    """Return why rounding leaves no value; empty if it leaves one."""
    if rounding <= REFUSE_ABOVE:
        return ""
    remedy = "increase temperature" if dtype == torch.float64 else "dtype=float64 resolves more"
    return (
        f"{dtype_name(dtype)} is too coarse for this energy at this temperature: rounding may change log Z by "
        f"{rounding:.2g} nats; {remedy}"
    )


def dtype_name(dtype: torch.dtype) -> str:
    """Return the name of a dtype as users type it."""
    return str(dtype).removeprefix("torch.")


def with_resolution(estimate: Estimate, integrand: Integrand, rows: Tensor, points: int) -> Estimate:
    """Return an estimate from paths with rounding of E/T in its bracket, and cautions of rounding and narrow modes.

    Modes narrower than a ball are missed if fewer than three of the search points at the smallest width would fall
    into it. The ball has radius 3√2π·(3/(n·V_d))^(1/d), V_d the volume of the unit ball, n the number of points.
    """
    rounding = PATH_ROUNDING * rounding_of_energies(integrand, rows)
    widened = widened_by(rounding, estimate)
    if widened.verdict == "refused":
        return widened
    d = integrand.size
    log_ball = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)
    log_radius = (math.log(RULE_OF_THREE / max(points, RULE_OF_THREE)) - log_ball) / d
    radius = WIDTHS[0] * math.sqrt(2 * math.pi) * math.exp(log_radius)
    width = radius * float(rows[rows.isfinite().flatten(1).all(1)].flatten(1).double().std(0).mean())
    widened = dataclasses.replace(widened, reasons=(*widened.reasons, resolution(width)))
    cautions = rounding_cautions(rows.dtype, rounding)
    if not is_known_smooth(integrand.energy) and integrand.rows is None:
        cautions += narrow_mode_cautions(integrand.energy, width)
    return widened.with_caution(cautions)


def with_rounding(estimate: Estimate, integrand: Integrand, rows: Tensor) -> Estimate:
    """Return an estimate from paths with rounding of E/T in its bracket, and a caution if that is much."""
    rounding = PATH_ROUNDING * rounding_of_energies(integrand, rows)
    widened = widened_by(rounding, estimate)
    return widened if widened.verdict == "refused" else widened.with_caution(rounding_cautions(rows.dtype, rounding))


def widened_by(rounding: float, estimate: Estimate) -> Estimate:
    """Return an estimate with a wider bracket, by this many nats on each side."""
    lower, upper = estimate.lower, estimate.upper
    return dataclasses.replace(
        estimate,
        lower=None if lower is None else lower - rounding,
        upper=None if upper is None else upper + rounding,
    )


def path_rounding_refusal(integrand: Integrand, rows: Tensor) -> str:
    """Return why no path can find log Z in the precision of these rows; empty if one can."""
    return rounding_refusal(rows.dtype, PATH_ROUNDING * rounding_of_energies(integrand, rows))


def rounding_of_energies(integrand: Integrand, rows: Tensor) -> float:
    """Return by how many nats rounding may change E/T at the rows: half the distance of neighboring numbers at |E|."""
    chosen = torch.linspace(0, len(rows) - 1, min(len(rows), N_STATES)).long()
    e = values(integrand.energy, rows[chosen.to(rows.device)])
    e = e[e.isfinite()]
    if not len(e):
        return 0.0
    return float(e.double().abs().median()) * torch.finfo(e.dtype).eps / 2 / integrand.temperature
