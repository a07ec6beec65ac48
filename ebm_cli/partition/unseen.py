"""Minima that no chain has been to: what would hold mass that chains in one mode know nothing of."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.energy import energy_and_grad
from ebm_cli.mixing.visited import Visited
from ebm_cli.wells.modes import descend, hessians

# In spreads of the model. Nearer ones are the probes' of a verdict on mixing.
WIDTHS = (3.0, 10.0, 30.0)
THROWN = 96
# States that are looked at, at most and of a budget; of these as many are followed down.
LOOKS, BUDGETED, FOLLOWED, CHUNK = 2**16, 0.1, 48, 2048
# No step of a descent is longer, in the same spreads.
REACH = 1.0
# Nats by which the mass of a minimum may be smaller than that of the chains' own: a hundredth.
NEGLIGIBLE = 4.6
# Minima this near to each other count as one, and so many are weighed.
APART, WEIGHED = 1.0, 8
# Of a basin that takes so many in n looks, none is in it with probability e⁻³ = 5 % (Hanley and Lippman-Hand, 1983).
RULE_OF_THREE = 3


@dataclass(frozen=True)
class Looked:
    """elsewhere: where there is mass that no chain has been near, in words; empty where none was found. region: what
    was searched, in words.
    """

    elsewhere: str
    region: str


def unseen(
    model: nn.Module,
    x: Float[Tensor, "chain draw d"],
    looks: int,
    rng: torch.Generator,
    spend: Callable[[float], None],
) -> Looked:
    """Where descents from far out end that no chain has been near.

    model: U of about a standard normal's width; it counts its own gradients. Descents begin at normal noise 3, 10 and
    30 times as wide; where these find nothing, at those of so many `looks` that slope away from all known (`suspects`).
    A minimum is weighed by exp(−U)/√det ∂²U (`log_masses`): a hundredth of the heaviest of the chains' own would move
    log Z by 0.01, and counts for nothing. spend: told of what Hessians cost. A mode into which none of n looks falls
    stays unknown, as in many dimensions nearly all that are narrow do: one that takes more than 3/n of them is hit with
    probability 95 %, and found if it bends the slope there.
    """
    own, own_u = apart(*descend(model, x[:, -1], 1.0, REACH))
    known = Visited(x.double().cpu().numpy())
    for begin in (lambda: thrown(own, rng), lambda: suspects(model, own, looks, rng)):
        ends, u = descend(model, begin(), 1.0, REACH)
        count = len(ends)
        sound = torch.isfinite(u) & torch.isfinite(ends).all(1)
        ends, u = ends[sound], u[sound]
        away = torch.as_tensor(known.distance(ends.double().cpu().numpy()) > known.near, device=x.device)
        if not away.any():
            continue
        ends, u = ends[away], u[away]
        found, found_u = apart(ends, u)
        lacking = log_masses(model, found, found_u, spend) - log_masses(model, own, own_u, spend).max()
        matters = lacking > -NEGLIGIBLE
        if matters.any():
            near = int((torch.cdist(ends, found[matters]) < APART).any(1).sum())
            largest = int(lacking.argmax())
            share, gap = float(lacking[largest]), float(found_u[largest] - own_u.min())
            return Looked(
                f"{near} of {count} descents from up to {WIDTHS[-1]:g} spreads out end where no chain has been, E/T "
                f"{abs(gap):.3g} {'above' if gap > 0 else 'below'} the chains' minima, with e^{share:.1f} times their "
                "mass",
                "",
            )
    return Looked("", searched(looks))


def thrown(own: Float[Tensor, "m d"], rng: torch.Generator) -> Float[Tensor, "n d"]:
    """Normal noise 3, 10 and 30 times as wide, in pairs on both sides."""
    noise = torch.randn(THROWN // 2, own.shape[1], generator=rng, dtype=own.dtype, device=own.device)
    wide = own.new_tensor(WIDTHS)[torch.arange(len(noise)) % len(WIDTHS), None] * noise
    return torch.cat([wide, -wide])


def looks_within(budget: int | None) -> int:
    """A tenth of the budget, at most 65,536."""
    return LOOKS if budget is None else min(LOOKS, int(BUDGETED * budget))


def suspects(model: nn.Module, own: Float[Tensor, "m d"], looks: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
    """Of so many states those from which −∇U points least to any of the chains' minima, at most 48.

    A look costs one gradient where a descent costs ten to twenty, so that a basin can be found that only one in
    thousands of states lies in: a reduced sample, as in multi-level methods (Rinnooy Kan and Timmer, 1987, Math.
    Program. 39, 27). States are normal noise with log width uniform between the least and the largest of WIDTHS.
    """
    low, high = math.log(WIDTHS[0]), math.log(WIDTHS[-1])
    kept, away = own[:0], own.new_zeros(0)
    for begun in range(0, looks, CHUNK):
        n = min(CHUNK, looks - begun)
        width = torch.rand(n, 1, generator=rng, dtype=own.dtype, device=own.device).mul(high - low).add(low).exp()
        z = width * torch.randn(n, own.shape[1], generator=rng, dtype=own.dtype, device=own.device)
        grad = energy_and_grad(model, z)[1]
        cosine = torch.cosine_similarity(-grad[:, None], own[None] - z[:, None], dim=2).amax(1)
        kept, away = torch.cat([kept, z]), torch.cat([away, cosine.nan_to_num(nan=1.0)])
        best = away.argsort()[:FOLLOWED]
        kept, away = kept[best], away[best]
    return kept


def searched(looks: int) -> str:
    """What was searched, and what may be missed."""
    region = f"from {WIDTHS[0]:g} to {WIDTHS[-1]:g} spreads out"
    if looks < 2 * RULE_OF_THREE:
        return f"no mode elsewhere by {THROWN} descents {region}"
    return (
        f"no mode elsewhere at {looks:,} looks {region}, but one that takes less than 1 in "
        f"{looks // RULE_OF_THREE:,} of them may be missed"
    )


def apart(x: Float[Tensor, "n d"], u: Float[Tensor, " n"]) -> tuple[Float[Tensor, "m d"], Float[Tensor, " m"]]:
    """The lowest of these minima, none near another."""
    order = u.argsort()
    chosen: list[int] = []
    for i in order.tolist():
        if not chosen or float((x[chosen] - x[i]).norm(dim=1).min()) >= APART:
            chosen.append(i)
        if len(chosen) == WEIGHED:
            break
    return x[chosen], u[chosen]


def log_masses(
    model: nn.Module, x: Float[Tensor, "m d"], u: Float[Tensor, " m"], spend: Callable[[float], None]
) -> Float[Tensor, " m"]:
    """−U − ½ log det ∂²U of minima (Laplace, 1774), no direction wider than where descents begin.

    A Hessian is d products with a vector, each about a gradient, of a graph that costs one: `spend` is told of d + 1.
    """
    spend(len(x) * (x.shape[1] + 1))
    curvatures = torch.linalg.eigvalsh(hessians(model, x).nan_to_num())
    return -u.double() - 0.5 * curvatures.clamp(min=WIDTHS[-1] ** -2).log().sum(1)
