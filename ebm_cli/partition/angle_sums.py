"""log Z of up to three angles: the trapezoid rule on a periodic grid, doubled until it no longer changes."""

import math

import torch
from torch import nn

from ebm_cli.data import _angles
from ebm_cli.energy import check_bounded, device_of, frozen
from ebm_cli.estimate import Estimate, refused
from ebm_cli.grid import angle_grid
from ebm_cli.partition.quadrature import MAX_ERROR, SAFETY, TARGET_ERROR, final_refusal
from ebm_cli.partition.resolution import (
    is_known_smooth,
    narrow_mode_cautions,
    resolution,
    rounding_cautions,
    rounding_refusal,
)
from ebm_cli.path._coordinates import MAX_STATES_PER_CALL, Integrand

# Points per circle, by dimension: of the first grid and of the finest.
FIRST_POINTS = {1: 128, 2: 32, 3: 16}
MAX_POINTS = {1: 65_536, 2: 2048, 3: 128}
# Factor from the machine precision of the largest energy to a bound of the error of log Z: an energy is a sum of terms.
ROUNDING = 8.0


def angle_sum(integrand: Integrand) -> Estimate:
    """Return log Σ exp(−E(x)/T) over a grid of angles, plus the log of the volume of a cell, in nats.

    For a smooth function with the period the error falls faster than any power of the spacing (Trefethen and Weideman,
    2014, SIAM Review 56, 385). The grid is doubled until it has changed log Z by less than 1e-6 twice. The bounds add
    1.5 times the last change and the possible change by rounding of energies. The verdict is caution for a change of up
    to 0.05 on the finest grid, and refused above it.
    """
    energy, d, T = integrand.energy, integrand.size, integrand.temperature
    sides, values, largest = [FIRST_POINTS[d]], [], 0.0
    with frozen(energy), torch.no_grad():
        while True:
            value, largest = log_sum(energy, integrand.event, sides[-1], T)
            values.append(value)
            changes = [abs(a - b) for a, b in zip(values[1:], values, strict=False)][-2:]
            if (len(changes) == 2 and max(changes) < TARGET_ERROR) or 2 * sides[-1] > MAX_POINTS[d]:
                break
            sides.append(2 * sides[-1])
    rounding = ROUNDING * torch.finfo(torch.get_default_dtype()).eps / 2 * largest
    return verdict(integrand, values[-1], max(changes), rounding, sides[-1])


def log_sum(energy: nn.Module, event: tuple[int, ...], side: int, temperature: float) -> tuple[float, float]:
    """Return log Z by a grid with this many points per circle, and the largest |E|/T there that matters for rounding.

    Raises InputError if E is −∞ at a point.
    """
    device, d = device_of(energy), math.prod(event)
    parts, largest = [], 0.0
    for x in angle_grid(side, event, device).split(MAX_STATES_PER_CALL):
        e = energy(x)
        check_bounded(e, x)
        u = torch.where(e.isnan(), math.inf, e.double() / temperature)
        parts.append((-u).logsumexp(0))
        largest = max(largest, float(u[u.isfinite()].abs().amax())) if bool(u.isfinite().any()) else largest
    total = float(torch.stack(parts).logsumexp(0))
    return total + d * math.log(_angles.PERIOD / side), largest


def verdict(integrand: Integrand, value: float, change: float, rounding: float, side: int) -> Estimate:
    """Return log Z with its bounds and verdict."""
    dtype, d, spacing = torch.get_default_dtype(), integrand.size, _angles.PERIOD / side
    if not math.isfinite(value):
        return refused("the energy is not finite: no state has a probability", "nats")
    if refusal := rounding_refusal(dtype, rounding):
        return final_refusal(refusal)
    grid, missed = f"{side**d:,} points, {side} per angle", resolution(spacing)
    if not change <= MAX_ERROR:
        coarse = f"log Z changes by {change:.2g} nats if the grid is doubled to {grid}"
        return refused([coarse, "method=bridge needs no grid", missed], "nats")
    cautions = rounding_cautions(dtype, rounding)
    if d > 1 and not is_known_smooth(integrand.energy) and integrand.rows is None:
        cautions += narrow_mode_cautions(integrand.energy, spacing)
    if change > max(TARGET_ERROR, rounding):
        cautions.append(f"not converged to {TARGET_ERROR:g} nats")
    margin = SAFETY * change + rounding
    agreement = f"the last doublings change {change:.1g} nats, rounding may change {rounding:.1g}"
    found = Estimate(value, lower=value - margin, upper=value + margin, unit="nats", reasons=(grid, agreement, missed))
    return found.with_caution(cautions)
