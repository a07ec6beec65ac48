"""log Z by cubature in up to three dimensions: cells that are split where two rules differ, out to where nothing is."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.energy import ExactDraws, frozen, offers
from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.cells import Cells
from ebm_cli.partition.minima import HALVES, Minima, find_minima
from ebm_cli.partition.rays import REMEDY, not_normalizable
from ebm_cli.partition.resolution import doubts_of_rounding, is_known, narrow_modes, resolution, rounding_refusal
from ebm_cli.partition.spending import Spending
from ebm_cli.partition.whitened import Whitened

MOST_DIMENSIONS = 3
# Edges of the first cells on either side of the middle, by dimension, in standard deviations of the model; each shell
# beyond is GROWTH times as wide. They are moved a little, so that no edge lies where an energy is likely to jump.
EDGES = {1: (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 18.0, 30.0), 2: (2.0, 4.0, 8.0, 15.0, 30.0), 3: (3.0, 8.0, 30.0)}
GROWTH = {1: 2.0, 2: 2.0, 3: 4.0}
OFFSET = 0.0618034
# Evaluations at most, by dimension, beyond those of the search for minima.
BUDGET = {1: 400_000, 2: 1_500_000, 3: 3_000_000}
# Aimed at, and up to what a value is given under caution: relative errors of Z.
AGREE, DOUBTFUL = 1e-6, 0.05
# Of the sum of differences of two rules, as a bound of the error.
SAFETY = 1.5
# Shells: at most so many, the fraction of the mass beyond the last that is left out, the ratio of a shell's mass to the
# one before at which the sum converges too slowly to tell, and how many such in a row are one too many.
SHELLS, LEFT_OUT, DIVERGES, PATIENCE = 48, 1e-8, 0.93, 6
# Correlations above which coordinates are not x's own; exact draws taken, where there are any.
CORRELATED, DRAWS = 0.5, 2048
# Rounds in which neighbors of fine cells are looked at; one that holds mass is at most so many times as long.
ROUNDS, LONGER, PROBED, HELD = 40, 4.0, 2048, 1e-8


@dataclass(frozen=True)
class FinalRefusal(Estimate):
    """A refusal that no other method may overrule, as there is no integral or numbers are too coarse for it."""


@dataclass(frozen=True)
class Tail:
    """left_out: fraction of the mass that lies beyond the last shell, extrapolated. diverges: why the sum over shells
    has no limit, in words; empty where it has. half: of the last shell's outer edge.
    """

    left_out: float
    diverges: str
    half: float


def quadrature(space: Whitened) -> Estimate:
    """log ∫ exp(−U(z)) dz + log|det L| by adaptive cubature (van Dooren and de Ridder, 1976), in nats.

    Cells around all minima that a search finds are made as small as these are narrow; shells of growing radius are
    added until their mass is negligible; then cells are split until two rules that share no node agree, and neighbors
    of fine cells until none holds mass unseen. lower and upper: 1.5 times the sum of the rules' differences, the mass
    left out, and what rounding of states and energies may change. ok where rounding is at most 0.01 and all else at
    most 1e-6 or rounding; caution up to 0.05, and 1 of rounding; else refused. A FinalRefusal where the mass of shells
    does not fall, E does not rise along a ray, the tail is too heavy, or rounding may change more than 1 nat. Reasons
    state the width below which a mode may be missed.
    """
    with frozen(space), torch.no_grad():
        return integrated(space)


def integrated(space: Whitened) -> Estimate:
    """The same with the energy frozen."""
    d = len(space.middle)
    if divergence := not_normalizable(space, Spending(None, None)):
        return FinalRefusal(None, unit="nats", verdict="refused", reasons=(divergence,))
    drawn = exact_draws(space)
    known = is_known(space.energy) or drawn is not None
    space = upright(space)
    rows = torch.cat([coordinates(space, part) for part in (space.rows, drawn) if part is not None])
    minima = find_minima(space, known, rows)
    if not len(minima.z):
        return refused(
            f"the energy is finite nowhere that was looked: at {minima.spent:,} states within {HALVES[d][-1]:g} "
            "standard deviations of what is known of the model",
            "nats",
        )
    cells, tail = with_shells(space, minima, rows)
    if tail.diverges:
        return FinalRefusal(None, unit="nats", verdict="refused", reasons=(tail.diverges,))
    budget = cells.spent + BUDGET[d]
    for _ in range(ROUNDS):
        cells.refine(AGREE / 4, budget)
        if cells.spent >= budget or not cells.carve(*unseen_neighbors(space, cells)):
            break
    return judged(space, cells, tail, minima, known)


def upright(space: Whitened) -> Whitened:
    """The same integrand in coordinates that are multiples of x's own where these are little correlated.

    Walls, kinks and tails mostly lie along x's own coordinates, and then along those of cells.
    """
    covariance = space.root.double() @ space.root.double().T
    spread = covariance.diagonal().sqrt()
    correlation = covariance / spread[:, None] / spread
    if float((correlation - torch.eye(len(spread)).to(correlation)).abs().max()) > CORRELATED:
        return space
    return space.with_root(torch.diag(spread).to(space.root))


def exact_draws(space: Whitened) -> Float[Tensor, "n *event"] | None:
    """Draws of an energy that offers them at this temperature, which come to all of its modes."""
    if not offers(space.energy, ExactDraws):
        return None
    try:
        rng = torch.Generator(space.middle.device).manual_seed(0)
        return space.energy.draw(DRAWS, space.temperature, rng)
    except ValueError:
        return None


def coordinates(space: Whitened, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n d"]:
    """States in the model's coordinates, those that are not finite left out."""
    x = x.flatten(1).double().cpu() - space.middle.double().cpu()
    z = torch.linalg.solve(space.root.double().cpu(), x.T).T
    return z[z.isfinite().all(1)]


def with_shells(space: Whitened, minima: Minima, rows: Float[Tensor, "n d"]) -> tuple[Cells, Tail]:
    """Cells around the minima, and shells about them until what lies beyond is negligible or seen not to be."""
    d = len(space.middle)
    edges = [axis_edges(d, both, axis) for axis, both in enumerate(extents(minima, rows))]
    cells = Cells.empty(space, d)
    cells.add(*boxes(edges, None))
    cells.carve(minima.z, minima.width)
    cells.refine(1e-3, cells.spent + BUDGET[d] // 4)
    inside, masses = cells.log_total, []
    slow, ratio, fraction, left_out = 0, 0.0, 0.0, math.inf
    for _ in range(SHELLS):
        inner = edges
        edges = [grown(each, GROWTH[d]) for each in edges]
        shell = Cells.empty(space, d)
        shell.add(*boxes(edges, inner))
        shell.carve(minima.z, minima.width)
        shell.refine(1e-2, shell.spent + BUDGET[d] // 16)
        masses.append(shell.log_total)
        merge(cells, shell)
        inside = float(np.logaddexp(inside, masses[-1]))
        fraction = math.exp(masses[-1] - inside) if math.isfinite(inside) else 0.0
        last = masses[-2] if len(masses) > 1 else math.inf
        ratio = math.exp(min(masses[-1] - last, 50.0)) if math.isfinite(masses[-1]) else 0.0
        slow = slow + 1 if ratio > DIVERGES else 0
        left_out = fraction * ratio / (1 - ratio) if ratio < 1 else math.inf
        if slow >= PATIENCE or (slow >= 2 and fraction > 0.999) or cells.spent > BUDGET[d]:
            break
        if len(masses) > 1 and left_out <= LEFT_OUT and ratio < 0.6:
            return cells, Tail(left_out, "", float(edges[0][-1]))
    half = float(max(each[-1] - each[0] for each in edges) / 2)
    if slow >= PATIENCE or (slow >= 2 and fraction > 0.999):
        said = (
            f"exp(−E/T) has no finite integral as far as can be told: from {half / GROWTH[d]:.2g} to {half:.2g} "
            f"standard deviations out lies {ratio:.3g} times the mass of the shell before; {REMEDY}"
        )
        return cells, Tail(math.inf, said, half)
    return cells, Tail(left_out, "", half)


def extents(minima: Minima, rows: Float[Tensor, "n d"]) -> list[tuple[float, float]]:
    """The lowest and highest coordinate along each axis of minima and rows."""
    every = torch.cat([minima.z, rows])
    return list(zip(every.amin(0).tolist(), every.amax(0).tolist(), strict=True))


def axis_edges(d: int, both: tuple[float, float], axis: int) -> Float[np.ndarray, " k"]:
    """Edges of the first cells along an axis, out to 30 standard deviations and beyond all that is known."""
    own = EDGES[d]
    edges = np.array([-e for e in own[::-1]] + [0.0] * (d != 2) + list(own)) + OFFSET * (axis + 1)
    while both[0] < edges[0] or both[1] > edges[-1]:
        edges = grown(edges, GROWTH[d])
    return edges


def grown(edges: Float[np.ndarray, " k"], growth: float) -> Float[np.ndarray, " m"]:
    """The same edges and one further out at both ends."""
    middle, half = (edges[0] + edges[-1]) / 2, (edges[-1] - edges[0]) / 2
    return np.concatenate([[middle - growth * half], edges, [middle + growth * half]])


def boxes(edges: list[np.ndarray], inner: list[np.ndarray] | None) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """Centers and half widths of all cells between these edges, those within the outer edges of `inner` left out."""
    low = torch.cartesian_prod(*(torch.from_numpy(each[:-1]) for each in edges)).view(-1, len(edges))
    high = torch.cartesian_prod(*(torch.from_numpy(each[1:]) for each in edges)).view(-1, len(edges))
    if inner is not None:
        first, last = (torch.tensor([each[end] for each in inner]) for end in (0, -1))
        outside = ((low < first) | (high > last)).any(1)
        low, high = low[outside], high[outside]
    return (low + high) / 2, (high - low) / 2


def merge(cells: Cells, others: Cells) -> None:
    """Add cells that are evaluated already."""
    for name in ("center", "half", "log_value", "log_error", "noise", "axis"):
        setattr(cells, name, torch.cat([getattr(cells, name), getattr(others, name)]))
    cells.spent += others.spent
    cells.top = max(cells.top, others.top)


def unseen_neighbors(space: Whitened, cells: Cells) -> tuple[Float[Tensor, "m d"], Float[Tensor, "m d"]]:
    """States just beyond the faces of cells that hold mass, where as much would lie, and these cells' widths."""
    share = (cells.log_value - cells.log_total).exp()
    chosen = share.argsort(descending=True)[:PROBED]
    chosen = chosen[share[chosen] > HELD]
    center, half, d = cells.center[chosen], cells.half[chosen], cells.center.shape[1]
    z, width = [], []
    for axis in range(d):
        for side in (-1.0, 1.0):
            beyond = center.clone()
            beyond[:, axis] += side * 1.5 * half[:, axis]
            z.append(beyond)
            width.append(half)
    z, width = torch.cat(z), torch.cat(width)
    mass = space.log_density(z) + (2 * width).log().sum(1)
    cells.spent += len(z)
    matters = mass > cells.log_total + math.log(HELD)
    return z[matters], width[matters] * LONGER / 2


def judged(space: Whitened, cells: Cells, tail: Tail, minima: Minima, known: bool) -> Estimate:
    """The value with its bracket, and the verdict on it."""
    if not tail.left_out <= DOUBTFUL:
        return FinalRefusal(
            None,
            unit="nats",
            verdict="refused",
            reasons=(
                f"the tail is too heavy: {tail.left_out:.2g} of the mass may lie beyond {tail.half:.2g} standard "
                f"deviations of the model, where cubature gives up; {REMEDY}",
            ),
        )
    value = cells.log_total + math.log1p(tail.left_out) + space.log_volume
    error, rounding = SAFETY * cells.error + tail.left_out, cells.rounding
    spread = float(space.root.double().norm(dim=1).max())
    near, *beyond = (spacing * spread for spacing in minima.spacing)
    missed = resolution(near, dict(zip(HALVES[len(space.middle)][1:], beyond, strict=True)))
    said = f"{len(cells):,} cells, {cells.spent + minima.spent:,} points, {len(minima.z)} minima"
    dtype = space.middle.dtype
    if refusal := rounding_refusal(dtype, rounding):
        return FinalRefusal(None, unit="nats", verdict="refused", reasons=(refusal,))
    if not error <= DOUBTFUL:
        disagreement = f"two rules disagree by {error:.2g} nats on {said}"
        return refused([disagreement, "method=ais needs no grid", missed], "nats")
    reach = error + rounding
    agreement = f"two rules differ by {cells.error:.1g} nats, rounding may change {rounding:.1g}"
    found = Estimate(value, lower=value - reach, upper=value + reach, unit="nats", reasons=(said, agreement, missed))
    doubts = doubts_of_rounding(dtype, rounding)
    if len(space.middle) > 1 and not known and not space.has_rows:
        doubts += narrow_modes(space.energy, near)
    if error > max(AGREE, rounding) and float(cells.open_errors()[1].sum()) + tail.left_out > AGREE:
        doubts.append(f"not yet settled to {AGREE:g} nats")
    return found.with_caution(doubts)
