"""log Z on a grid, in up to three dimensions: the extent from where the mass is, the resolution by doubling."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.energy import frozen
from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.whitened import Whitened

MOST_DIMENSIONS = 3
# Half the first box's width, in spreads of the model: as far as modes that nobody knew of are looked for.
FIRST = 30.0
# Points a side of the grids, by dimension: the first finds the extent, each is twice as fine as the one before.
SIZES = {1: (513, 1025, 2049, 4097, 16385), 2: (129, 257, 513, 1025), 3: (65, 129)}
# The share of the mass that a side's outer sixteenth may hold, and that a tightened box leaves out a side.
EDGE, LEFT_OUT = 1e-9, 1e-13
ROUNDS = 40
AGREE, DOUBTFUL = 1e-6, 1e-3
CHUNK = 65536


def quadrature(space: Whitened) -> Estimate:
    """log Σᵢ exp(−U(zᵢ)) + log Πₐ hₐ + log|det L|, the trapezoid rule on a grid whose edge holds nothing.

    For smooth functions that vanish at the edge its error falls faster than any power of the spacing h (Trefethen and
    Weideman, 2014, SIAM Review 56, 385). ok where the two finest grids agree to 1e-6 nats, caution to 1e-3, else
    refused. Mass beyond 30 spreads of the model that a gap parts from it is not seen.
    """
    d = len(space.middle)
    with frozen(space), torch.no_grad():
        box = extent(space, torch.tensor([[-FIRST, FIRST]] * d, dtype=torch.float64), SIZES[d][0])
        if box is None:
            return refused("the mass of exp(−E/T) fits no box: is it normalisable? raise energy.confinement", "nats")
        size = SIZES[d][0]
        change, value = math.inf, on_grid(space, box, size)
        for finer in SIZES[d][1:]:
            size, coarse = finer, value
            value = on_grid(space, box, size)
            change = abs(value - coarse)
            if change <= AGREE:
                break
    said = f"{' × '.join([str(size)] * d)} points"
    if not change <= DOUBTFUL:
        return refused(f"two resolutions disagree by {change:.3g} nats at {said}; method=ais needs no grid", "nats")
    said = f"{said}, {change:.1g} nats from what half as many a side give"
    found = Estimate(value, lower=value - change, upper=value + change, unit="nats", reason=said)
    return found if change <= AGREE else found.doubted([f"not yet settled to {AGREE:g} nats"])


def extent(space: Whitened, box: Float[Tensor, "d 2"], size: int) -> Float[Tensor, "d 2"] | None:
    """A box whose edges hold nothing: grown where they do, then tightened for as long as it can be; None for none."""
    for tightenings in range(ROUNDS):
        box, shares = grown(space, box, size)
        if shares is None:
            return None
        tight = torch.stack([tightened(side, share) for side, share in zip(box, shares, strict=True)])
        narrowed = bool(((tight[:, 1] - tight[:, 0]) < 0.8 * (box[:, 1] - box[:, 0])).any())
        if not narrowed or tightenings == ROUNDS - 1:
            break
        box = tight
    return box


def grown(
    space: Whitened, box: Float[Tensor, "d 2"], size: int
) -> tuple[Float[Tensor, "d 2"], Float[Tensor, "d size"] | None]:
    """The box with sides moved out until none holds mass, and the mass along each coordinate; None where none fits."""
    outer = max(1, size // 16)
    for _ in range(ROUNDS):
        shares = marginals(space, box, size)
        if shares is None:
            return box, None
        heavy = torch.stack([shares[:, :outer].sum(1), shares[:, -outer:].sum(1)], 1) > EDGE
        if not heavy.any():
            return box, shares
        out = 0.25 * (box[:, 1] - box[:, 0])
        box = box + torch.stack([-out, out], 1) * heavy
    return box, None


def tightened(side: Float[Tensor, " 2"], share: Float[Tensor, " size"]) -> Float[Tensor, " 2"]:
    """A side around all but a negligible share of the mass, with an eighth of itself to spare at both ends."""
    spacing = (side[1] - side[0]) / (len(share) - 1)
    inside = torch.nonzero((share.cumsum(0) > LEFT_OUT) & (share.flip(0).cumsum(0).flip(0) > LEFT_OUT)).flatten()
    low, high = side[0] + inside[0] * spacing, side[0] + inside[-1] * spacing
    spare = torch.maximum(2 * spacing, (high - low) / 8)
    return torch.stack([torch.maximum(low - spare, side[0]), torch.minimum(high + spare, side[1])])


def marginals(space: Whitened, box: Float[Tensor, "d 2"], size: int) -> Float[Tensor, "d size"] | None:
    """The share of the grid's mass at each value of each coordinate; None where the grid holds no finite mass."""
    log_f = log_values(space, box, size)
    if not bool(log_f.logsumexp(0).isfinite()):
        return None
    shares = log_f.softmax(0).view([size] * len(box))
    axes = range(len(box))
    return torch.stack([shares.sum([a for a in axes if a != axis]) if len(box) > 1 else shares for axis in axes])


def on_grid(space: Whitened, box: Float[Tensor, "d 2"], size: int) -> float:
    """log Z by the trapezoid rule with `size` points a side; its halved weights at the edge, where nothing is, left."""
    log_cell = float(((box[:, 1] - box[:, 0]) / (size - 1)).log().sum())
    return float(log_values(space, box, size).logsumexp(0)) + log_cell + space.log_volume


def log_values(space: Whitened, box: Float[Tensor, "d 2"], size: int) -> Float[Tensor, " points"]:
    """−U at the points of a grid, in double precision; −∞ where the energy is not a number."""
    axes = [torch.linspace(float(low), float(high), size, dtype=torch.float64) for low, high in box]
    points = torch.stack([axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")], 1).to(space.middle)
    u = torch.cat([space(part) for part in points.split(CHUNK)]).double().cpu()
    return torch.where(u.isnan(), -math.inf, -u)
