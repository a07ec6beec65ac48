"""A search for modes that no chain has visited: they could hold mass that chains in one mode do not reveal."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.energy import energy_and_grad
from ebm_cli.mixing.visited import VisitedRegion
from ebm_cli.wells.descent import descend
from ebm_cli.wells.laplace import hessians

# Widths of starting points in standard deviations of the model. Mixing's own probes search nearer ones.
WIDTHS = (3.0, 10.0, 30.0)
N_WIDE_STARTS = 96
# Maximum number of search points, and the fraction of the budget that they may use.
MAX_SEARCH_POINTS, SEARCH_BUDGET_FRACTION = 2**16, 0.1
# Number of descents from search points, and points per call of the energy.
N_DESCENTS, POINTS_PER_CALL = 48, 2048
# Maximum length of a descent's step, in standard deviations of the model.
MAX_STEP = 1.0
# Minima with less than e^-4.6, a hundredth, of the mass of the chains' own minimum are ignored.
MAX_LOG_MASS_DEFICIT = 4.6
# Minima closer than this count as one, and number of minima whose mass is computed.
MIN_DISTANCE, MAX_MINIMA = 1.0, 8
# Rule of three: a basin hit with probability 3/n per point is missed by all n points with probability e⁻³ ≈ 5 %
# (Hanley and Lippman-Hand, 1983).
RULE_OF_THREE = 3


@dataclass(frozen=True)
class ModeSearchResult:
    """missed: describes mass that no chain has been near; empty if none was found. region: describes the search."""

    missed: str
    region: str


def search_missed_modes(
    model: nn.Module,
    x: Float[Tensor, "chain draw d"],
    points: int,
    rng: torch.Generator,
    charge: Callable[[float], None],
) -> ModeSearchResult:
    """Return whether descents from far away reach minima that no chain has been near.

    Descents start at normal noise 3, 10 and 30 times as wide as the model. If these find nothing, others start at
    those of the search points that slope away from all known minima (`candidate_starts`). The mass of a minimum is
    exp(−U)/√det ∂²U (`log_masses`). A hundredth of the largest mass of the chains' own minima would change log Z by
    0.01 and is ignored. A mode whose basin covers more than 3/points of the search points is hit with probability 95 %,
    and found if it bends the slope there. Narrower modes, nearly all in many dimensions, can be missed.

    model: U, about a standard normal; it counts its own gradients.
    x: draws of the chains.
    points: number of search points.
    charge: called with the cost of Hessians in gradients.
    """
    own, own_u = distinct_minima(*descend(model, x[:, -1], 1.0, MAX_STEP))
    visited = VisitedRegion(x.double().cpu().numpy())
    for starts in (lambda: wide_normal_draws(own, rng), lambda: candidate_starts(model, own, points, rng)):
        minima, u = descend(model, starts(), 1.0, MAX_STEP)
        count = len(minima)
        finite = torch.isfinite(u) & torch.isfinite(minima).all(1)
        minima, u = minima[finite], u[finite]
        away = torch.as_tensor(visited.distance(minima.double().cpu().numpy()) > visited.near, device=x.device)
        if not away.any():
            continue
        minima, u = minima[away], u[away]
        found, found_u = distinct_minima(minima, u)
        excess = log_masses(model, found, found_u, charge) - log_masses(model, own, own_u, charge).max()
        relevant = excess > -MAX_LOG_MASS_DEFICIT
        if relevant.any():
            near = int((torch.cdist(minima, found[relevant]) < MIN_DISTANCE).any(1).sum())
            largest = int(excess.argmax())
            gap = float(found_u[largest] - own_u.min())
            return ModeSearchResult(
                f"{near} of {count} descents from up to {WIDTHS[-1]:g} standard deviations out reach minima that no "
                f"chain has been near, with E/T {abs(gap):.3g} {'above' if gap > 0 else 'below'} the chains' minima "
                f"and e^{float(excess[largest]):.1f} times their mass",
                "",
            )
    return ModeSearchResult("", search_description(points))


def wide_normal_draws(own: Float[Tensor, "m d"], rng: torch.Generator) -> Float[Tensor, "n d"]:
    """Return normal noise 3, 10 and 30 times as wide as the model, in pairs z and −z."""
    noise = torch.randn(N_WIDE_STARTS // 2, own.shape[1], generator=rng, dtype=own.dtype, device=own.device)
    wide = own.new_tensor(WIDTHS)[torch.arange(len(noise)) % len(WIDTHS), None] * noise
    return torch.cat([wide, -wide])


def search_points(max_gradients: int | None) -> int:
    """Return the number of search points: a tenth of the budget, at most 65,536."""
    if max_gradients is None:
        return MAX_SEARCH_POINTS
    return min(MAX_SEARCH_POINTS, int(SEARCH_BUDGET_FRACTION * max_gradients))


def candidate_starts(
    model: nn.Module, own: Float[Tensor, "m d"], points: int, rng: torch.Generator
) -> Float[Tensor, "n d"]:
    """Return the search points, at most 48, from which −∇U points least toward any of the chains' minima.

    A search point costs one gradient, a descent ten to twenty. Therefore a basin that contains only one in thousands of
    points can be found: a reduced sample, as in multi-level methods (Rinnooy Kan and Timmer, 1987, Math. Program. 39,
    27). Points are normal noise with a log-uniform width between the smallest and the largest of WIDTHS.
    """
    low, high = math.log(WIDTHS[0]), math.log(WIDTHS[-1])
    kept, cosines = own[:0], own.new_zeros(0)
    for done in range(0, points, POINTS_PER_CALL):
        n = min(POINTS_PER_CALL, points - done)
        width = torch.rand(n, 1, generator=rng, dtype=own.dtype, device=own.device).mul(high - low).add(low).exp()
        z = width * torch.randn(n, own.shape[1], generator=rng, dtype=own.dtype, device=own.device)
        grad = energy_and_grad(model, z)[1]
        cosine = torch.cosine_similarity(-grad[:, None], own[None] - z[:, None], dim=2).amax(1)
        kept, cosines = torch.cat([kept, z]), torch.cat([cosines, cosine.nan_to_num(nan=1.0)])
        best = cosines.argsort()[:N_DESCENTS]
        kept, cosines = kept[best], cosines[best]
    return kept


def search_description(points: int) -> str:
    """Return what was searched and what could have been missed."""
    region = f"{WIDTHS[0]:g} to {WIDTHS[-1]:g} standard deviations out"
    if points < 2 * RULE_OF_THREE:
        return f"no further mode was found by {N_WIDE_STARTS} descents from {region}"
    return (
        f"no further mode was found at {points:,} search points {region}; a mode whose basin covers less than 1 in "
        f"{points // RULE_OF_THREE:,} of them could have been missed"
    )


def distinct_minima(
    x: Float[Tensor, "n d"], u: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "m d"], Float[Tensor, " m"]]:
    """Return the lowest of these minima, at most 8, no two of them close to each other."""
    order = u.argsort()
    chosen: list[int] = []
    for i in order.tolist():
        if not chosen or float((x[chosen] - x[i]).norm(dim=1).min()) >= MIN_DISTANCE:
            chosen.append(i)
        if len(chosen) == MAX_MINIMA:
            break
    return x[chosen], u[chosen]


def log_masses(
    model: nn.Module, x: Float[Tensor, "m d"], u: Float[Tensor, " m"], charge: Callable[[float], None]
) -> Float[Tensor, " m"]:
    """Return −U − ½ log det ∂²U of minima (Laplace, 1774), no direction wider than the widest starting points.

    A Hessian is d products with a vector, each about a gradient, of a graph that costs one: d + 1 are charged.
    """
    charge(len(x) * (x.shape[1] + 1))
    curvatures = torch.linalg.eigvalsh(hessians(model, x).nan_to_num())
    return -u.double() - 0.5 * curvatures.clamp(min=WIDTHS[-1] ** -2).log().sum(1)
