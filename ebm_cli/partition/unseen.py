"""Minima that no chain has been to: what would hold mass that chains in one mode know nothing of."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.probe import Visited
from ebm_cli.wells import descend, hessians

# In spreads of the model. Nearer ones are the probes' of a verdict on mixing.
WIDTHS = (3.0, 10.0, 30.0)
THROWN = 96
# No step of a descent is longer, in the same spreads.
REACH = 1.0
# Nats by which the mass of a minimum may be smaller than that of the chains' own: a hundredth.
NEGLIGIBLE = 4.6
# Minima this near to each other count as one, and so many are weighed.
APART, WEIGHED = 1.0, 8


def unseen(model: nn.Module, x: Float[Tensor, "chain draw d"], rng: torch.Generator) -> str:
    """Where descents from far out end that no chain has been near, in words; empty where there is no such place.

    model: U of about a standard normal's width. They begin at normal noise 3, 10 and 30 times as wide, in pairs on both
    sides. A minimum is weighed by exp(−U)/√det ∂²U (`log_masses`): a hundredth of the heaviest of the chains' own would
    move log Z by 0.01, and counts for nothing. A mode that no descent finds stays unknown: in many dimensions that is
    likely where none was near the rows, or where it is much narrower than the model.
    """
    d = x.shape[2]
    noise = torch.randn(THROWN // 2, d, generator=rng, dtype=x.dtype, device=x.device)
    widths = torch.tensor(WIDTHS, dtype=x.dtype, device=x.device)[torch.arange(len(noise)) % len(WIDTHS), None]
    ends, u = descend(model, torch.cat([widths * noise, -widths * noise]), 1.0, REACH)
    own, own_u = descend(model, x[:, -1], 1.0, REACH)
    sound = torch.isfinite(u) & torch.isfinite(ends).all(1)
    ends, u = ends[sound], u[sound]
    known = Visited(x.double().cpu().numpy())
    away = torch.as_tensor(known.distance(ends.double().cpu().numpy()) > known.near, device=x.device)
    ends, u = ends[away], u[away]
    if not len(ends):
        return ""
    own, own_u = apart(own, own_u)
    found, found_u = apart(ends, u)
    mass = log_masses(model, own, own_u).max()
    lacking = log_masses(model, found, found_u) - mass
    matters = lacking > -NEGLIGIBLE
    if not matters.any():
        return ""
    near = (torch.cdist(ends, found[matters]) < APART).any(1)
    heaviest = int(lacking.argmax())
    share, gap = float(lacking[heaviest]), float(found_u[heaviest] - own_u.min())
    return (
        f"{int(near.sum())} of {THROWN} descents from up to {WIDTHS[-1]:g} spreads out end where no chain has been, "
        f"E/T {abs(gap):.3g} {'above' if gap > 0 else 'below'} the chains' minima, with e^{share:.2g} times their mass"
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


def log_masses(model: nn.Module, x: Float[Tensor, "m d"], u: Float[Tensor, " m"]) -> Float[Tensor, " m"]:
    """−U − ½ log det ∂²U of minima (Laplace, 1774), no direction wider than where descents begin."""
    curvatures = torch.linalg.eigvalsh(hessians(model, x).nan_to_num())
    return -u.double() - 0.5 * curvatures.clamp(min=WIDTHS[-1] ** -2).log().sum(1)
