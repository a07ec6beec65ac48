"""Minima that no chain has been to: what would hold mass that chains in one mode know nothing of."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.probe import Visited
from ebm_cli.wells import descend

# In spreads of the model. Nearer ones are the probes' of a verdict on mixing.
WIDTHS = (3.0, 10.0, 30.0)
THROWN = 96
# No step of a descent is longer, in the same spreads.
REACH = 1.0
# Nats above the chains' own lowest minimum from which a minimum holds a hundredth of the mass or less, if as wide.
NEGLIGIBLE = 4.6


def unseen(model: nn.Module, x: Float[Tensor, "chain draw d"], rng: torch.Generator) -> str:
    """Where descents from far out end that no chain has been near, in words; empty where there is no such place.

    model: U of about a standard normal's width. They begin at normal noise 3, 10 and 30 times as wide, in pairs on both
    sides. One that ends 4.6 nats and more above the lowest of the chains' own minima would, as wide as that one, move
    log Z by 0.01 at most, and counts for nothing. A mode that no descent finds stays unknown: in many dimensions that
    is likely where none was near the rows.
    """
    d = x.shape[2]
    noise = torch.randn(THROWN // 2, d, generator=rng, dtype=x.dtype, device=x.device)
    widths = torch.tensor(WIDTHS, dtype=x.dtype, device=x.device)[torch.arange(len(noise)) % len(WIDTHS), None]
    ends, u = descend(model, torch.cat([widths * noise, -widths * noise]), 1.0, REACH)
    _, own = descend(model, x[:, -1], 1.0, REACH)
    sound = torch.isfinite(u) & torch.isfinite(ends).all(1)
    ends, u = ends[sound], u[sound]
    known = Visited(x.double().cpu().numpy())
    away = known.distance(ends.double().cpu().numpy()) > known.near
    gap = (u - own.min()).double().cpu().numpy()
    matters: np.ndarray = away & (gap < NEGLIGIBLE)
    if not matters.any():
        return ""
    lowest = float(gap[matters].min())
    return (
        f"{matters.sum()} of {THROWN} descents from up to {WIDTHS[-1]:g} spreads out end where no chain has been, "
        f"E/T {abs(lowest):.3g} {'above' if lowest > 0 else 'below'} the chains' minima"
    )
