"""What limits how finely an energy can be looked at: the precision of its numbers, and modes too narrow to be found."""

import dataclasses
import math

import torch
from torch import Tensor, nn

from ebm_cli.energy import declared_attribute
from ebm_cli.estimate import Estimate
from ebm_cli.partition.unseen import RULE_OF_THREE, WIDTHS
from ebm_cli.partition.whitened import Integrand
from ebm_cli.wells.modes import values

# Nats that rounding may change before it is said, and before no value is given.
SAID, MOST = 0.01, 1.0
# Of rounding of E/T: paths compute U₀ + β(U − U₀) of it.
PATHS = 2.0
# States at which the size of E is looked for.
ROWS = 512


def is_known(energy: nn.Module) -> bool:
    """Whether all code that computes E is of this package and of torch, whose energies hide no narrow mode.

    One that may have one says how narrow (`narrowest_mode`).
    """
    own = all(type(part).__module__.split(".")[0] in ("ebm_cli", "torch") for part in energy.modules())
    return own and narrowest_mode(energy) is None


def narrowest_mode(energy: nn.Module) -> float | None:
    """The width, in x's units, below which an energy has no mode, where its class declares one."""
    width = (
        getattr(energy, "narrowest_mode", None) if declared_attribute(energy, "narrowest_mode") is not None else None
    )
    return float(width) if isinstance(width, int | float) else None


def resolution(width: float, beyond: dict[float, float] | None = None) -> str:
    """Which modes are not found, by their width in x's units, and by that up to so many of the model's spreads."""
    each = [f"{far:.2g} up to {half:g} standard deviations out" for half, far in (beyond or {}).items()]
    out = f" ({', '.join(each)})" if each else ""
    return f"a mode narrower than {width:.2g} in x{out} is missed unless E slopes toward it"


def narrow_modes(energy: nn.Module, width: float) -> list[str]:
    """The doubt that an energy may have modes narrower than this in x, unless its class declares that it has none."""
    own = narrowest_mode(energy)
    if own is not None and own >= width:
        return []
    return [f"this energy may have such modes: if it has none, declare narrowest_mode = {width:.2g} in its class"]


def doubts_of_rounding(dtype: torch.dtype, rounding: float) -> list[str]:
    """What rounding may change, where it is to be said."""
    if rounding <= SAID:
        return []
    return [f"{name_of(dtype)} resolves log Z to {rounding:.2g} nats only; dtype=float64 resolves more"]


def rounding_refusal(dtype: torch.dtype, rounding: float) -> str:
    """Why there is no value; empty where rounding leaves one."""
    if rounding <= MOST:
        return ""
    remedy = "raise temperature" if dtype == torch.float64 else "dtype=float64 resolves more"
    return (
        f"{name_of(dtype)} is too coarse for this energy at this temperature: rounding may change log Z by "
        f"{rounding:.2g} nats; {remedy}"
    )


def name_of(dtype: torch.dtype) -> str:
    """As users type it."""
    return str(dtype).removeprefix("torch.")


def resolved(estimate: Estimate, integrand: Integrand, rows: Tensor, looks: int) -> Estimate:
    """An estimate from paths with rounding of E/T in its bracket, and its doubts of that and of narrow modes.

    A ball into which three of n looks at the least width of `unseen` would fall has radius
    3√2π·(3/(n·V_d))^(1/d), V_d the volume of the unit ball: narrower modes are missed.
    """
    rounding = PATHS * rounding_of_energies(integrand, rows)
    lower, upper = estimate.lower, estimate.upper
    widened = dataclasses.replace(
        estimate,
        lower=None if lower is None else lower - rounding,
        upper=None if upper is None else upper + rounding,
    )
    if widened.verdict == "refused":
        return widened
    d = integrand.size
    log_ball = d / 2 * math.log(math.pi) - math.lgamma(d / 2 + 1)
    log_radius = (math.log(RULE_OF_THREE / max(looks, RULE_OF_THREE)) - log_ball) / d
    radius = WIDTHS[0] * math.sqrt(2 * math.pi) * math.exp(log_radius)
    width = radius * float(rows[rows.isfinite().flatten(1).all(1)].flatten(1).double().std(0).mean())
    widened = dataclasses.replace(widened, reasons=(*widened.reasons, resolution(width)))
    doubts = doubts_of_rounding(rows.dtype, rounding)
    if not is_known(integrand.energy) and integrand.rows is None:
        doubts += narrow_modes(integrand.energy, width)
    return widened.with_caution(doubts)


def too_coarse(integrand: Integrand, rows: Tensor) -> str:
    """Why no path can find log Z in the precision of these rows; empty where one can."""
    return rounding_refusal(rows.dtype, PATHS * rounding_of_energies(integrand, rows))


def rounding_of_energies(integrand: Integrand, rows: Tensor) -> float:
    """Nats by which rounding may change E/T at states of the model: half the distance of neighboring numbers at |E|."""
    chosen = torch.linspace(0, len(rows) - 1, min(len(rows), ROWS)).long()
    e = values(integrand.energy, rows[chosen.to(rows.device)])
    e = e[e.isfinite()]
    if not len(e):
        return 0.0
    return float(e.double().abs().median()) * torch.finfo(e.dtype).eps / 2 / integrand.temperature
