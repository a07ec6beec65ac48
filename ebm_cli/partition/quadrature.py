"""log Z by adaptive cubature in up to three dimensions, over cells out to where no mass is left."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.chain.budget import Budget
from ebm_cli.energy import frozen
from ebm_cli.energy._capabilities import ExactDraws, offers
from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.cells import Cells
from ebm_cli.partition.minima import HALF_WIDTHS, Minima, find_minima
from ebm_cli.partition.rays import REMEDY, not_normalizable
from ebm_cli.partition.resolution import (
    is_known_smooth,
    narrow_mode_cautions,
    resolution,
    rounding_cautions,
    rounding_refusal,
)
from ebm_cli.partition.shells import Tail, cells_and_tail
from ebm_cli.path._coordinates import WhitenedEnergy

MAX_DIMENSIONS = 3
# Maximum number of evaluations, by dimension, without those of the search for minima.
MAX_EVALUATIONS = {1: 400_000, 2: 1_500_000, 3: 3_000_000}
# Relative error of Z that is aimed for, and the error above which no value is given.
TARGET_ERROR, MAX_ERROR = 1e-6, 0.05
# Factor from the sum of differences of two rules to a bound of the error.
SAFETY = 1.5
# Correlations above which coordinates differ from those of x; number of exact draws, if there are any.
MAX_CORRELATION, N_DRAWS = 0.5, 2048
# Maximum number of rounds in which neighbors of fine cells are checked.
ROUNDS = 40
# Number of cells whose neighbors are checked, the fraction of the mass from which a cell counts, and how many times as
# long as the cell a neighbor that holds mass may be.
N_CHECKED, MIN_MASS, MAX_LENGTH_RATIO = 2048, 1e-8, 4.0


@dataclass(frozen=True)
class FinalRefusal(Estimate):
    """A refusal that no other method may overrule: there is no integral, or numbers are too coarse for it."""


def final_refusal(reason: str) -> FinalRefusal:
    """Return a final refusal of log Z."""
    return FinalRefusal(None, unit="nats", verdict="refused", reasons=(reason,))


def quadrature(space: WhitenedEnergy) -> Estimate:
    """Return log ∫ exp(−U(z)) dz + log|det L| by adaptive cubature (van Dooren and de Ridder, 1976), in nats.

    Cells around all minima that a search finds are made as small as these are narrow. Shells of growing radius are
    added until their mass is negligible. Then cells are split until two rules that share no node agree, and until no
    neighbor of a fine cell holds undetected mass. The bounds add 1.5 times the sum of the rules' differences, the mass
    left out, and the possible change by rounding of states and energies. The verdict is ok if rounding is at most 0.01
    and the rest at most 1e-6 or rounding; caution up to 0.05, and 1 for rounding; otherwise refused. It is a
    FinalRefusal if the mass of shells does not fall, E does not rise along a ray, the tail is too heavy, or rounding
    may change more than 1 nat. The reason states the width below which a mode may be missed.
    """
    with frozen(space), torch.no_grad():
        return integrate(space)


def integrate(space: WhitenedEnergy) -> Estimate:
    """Return log Z of an energy with frozen parameters."""
    d = len(space.center)
    if divergence := not_normalizable(space, Budget()):
        return final_refusal(divergence)
    draws = exact_draws(space)
    smooth = is_known_smooth(space.energy) or draws is not None
    space = aligned_with_axes(space)
    rows = torch.cat([finite_coordinates(space, part) for part in (space.rows, draws) if part is not None])
    minima = find_minima(space, smooth, rows)
    if not len(minima.z):
        return refused(
            f"no state with finite energy was found: {minima.n_points:,} states within {HALF_WIDTHS[d][-1]:g} standard "
            "deviations of the known states of the model were tried",
            "nats",
        )
    cells, tail = cells_and_tail(space, minima, rows, MAX_EVALUATIONS[d])
    if tail.divergence:
        return final_refusal(tail.divergence)
    budget = cells.n_points + MAX_EVALUATIONS[d]
    for _ in range(ROUNDS):
        cells.refine(TARGET_ERROR / 4, budget)
        if cells.n_points >= budget or not cells.carve(*heavy_neighbors(space, cells)):
            break
    return verdict_on_cells(space, cells, tail, minima, smooth)


def aligned_with_axes(space: WhitenedEnergy) -> WhitenedEnergy:
    """Return the same integrand in multiples of x's own coordinates if these have small correlations.

    Walls, kinks and tails mostly lie along x's own coordinates, and then along those of cells.
    """
    covariance = space.scale_matrix.double() @ space.scale_matrix.double().T
    std = covariance.diagonal().sqrt()
    correlation = covariance / std[:, None] / std
    if float((correlation - torch.eye(len(std)).to(correlation)).abs().max()) > MAX_CORRELATION:
        return space
    return space.with_scale(torch.diag(std).to(space.scale_matrix))


def exact_draws(space: WhitenedEnergy) -> Float[Tensor, "n *event"] | None:
    """Return draws of an energy that offers them at this temperature; they are in all of its modes."""
    if not offers(space.energy, ExactDraws):
        return None
    try:
        rng = torch.Generator(space.center.device).manual_seed(0)
        return space.energy.draw(N_DRAWS, space.temperature, rng)
    except ValueError:
        return None


def finite_coordinates(space: WhitenedEnergy, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n d"]:
    """Return the coordinates of states in double precision, without those that are not finite."""
    x = x.flatten(1).double().cpu() - space.center.double().cpu()
    z = torch.linalg.solve(space.scale_matrix.double().cpu(), x.T).T
    return z[z.isfinite().all(1)]


def heavy_neighbors(space: WhitenedEnergy, cells: Cells) -> tuple[Float[Tensor, "m d"], Float[Tensor, "m d"]]:
    """Return states just beyond the faces of heavy cells at which much mass may lie, and the cells' widths."""
    fraction = (cells.log_value - cells.log_total).exp()
    chosen = fraction.argsort(descending=True)[:N_CHECKED]
    chosen = chosen[fraction[chosen] > MIN_MASS]
    center, half, d = cells.center[chosen], cells.half[chosen], cells.center.shape[1]
    z = []
    for axis in range(d):
        for side in (-1.0, 1.0):
            beyond = center.clone()
            beyond[:, axis] += side * 1.5 * half[:, axis]
            z.append(beyond)
    z, width = torch.cat(z), half.repeat(2 * d, 1)
    mass = space.log_density(z) + (2 * width).log().sum(1)
    cells.n_points += len(z)
    heavy = mass > cells.log_total + math.log(MIN_MASS)
    return z[heavy], width[heavy] * MAX_LENGTH_RATIO / 2


def verdict_on_cells(space: WhitenedEnergy, cells: Cells, tail: Tail, minima: Minima, smooth: bool) -> Estimate:
    """Return log Z with its bounds and verdict."""
    if not tail.left_out <= MAX_ERROR:
        return final_refusal(
            f"the tail is too heavy: {tail.left_out:.2g} of the mass may lie beyond {tail.half:.2g} standard "
            f"deviations of the model, where cubature stops; {REMEDY}"
        )
    error, rounding = SAFETY * cells.error + tail.left_out, cells.rounding
    dtype, d = space.center.dtype, len(space.center)
    if refusal := rounding_refusal(dtype, rounding):
        return final_refusal(refusal)
    scale = float(space.scale_matrix.double().norm(dim=1).max())
    near, *beyond = (spacing * scale for spacing in minima.spacing)
    missed = resolution(near, dict(zip(HALF_WIDTHS[d][1:], beyond, strict=True)))
    grid = f"{len(cells):,} cells, {cells.n_points + minima.n_points:,} points, {len(minima.z)} minima"
    if not error <= MAX_ERROR:
        disagreement = f"two rules differ by {error:.2g} nats on {grid}"
        return refused([disagreement, "method=ais needs no grid", missed], "nats")
    cautions = rounding_cautions(dtype, rounding)
    if d > 1 and not smooth and not space.has_training_rows:
        cautions += narrow_mode_cautions(space.energy, near)
    if error > max(TARGET_ERROR, rounding) and float(cells.open_errors()[1].sum()) + tail.left_out > TARGET_ERROR:
        cautions.append(f"not converged to {TARGET_ERROR:g} nats")
    value, margin = cells.log_total + math.log1p(tail.left_out) + space.log_volume, error + rounding
    agreement = f"two rules differ by {cells.error:.1g} nats, rounding may change {rounding:.1g}"
    found = Estimate(value, lower=value - margin, upper=value + margin, unit="nats", reasons=(grid, agreement, missed))
    return found.with_caution(cautions)
