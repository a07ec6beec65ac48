"""Fixed points of discrete states as modes: how often chains descend to each, and how often they should."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.chain.chains import Chains
from ebm_cli.data import Data
from ebm_cli.data._sites import Sites
from ebm_cli.diagnostic._mode_shares import MAX_DESCENDED_ROWS, OTHERS, ModeShares, rows_of
from ebm_cli.energy import space_of
from ebm_cli.rng import generator
from ebm_cli.wells.descent import states_of, values
from ebm_cli.wells.modes import mode_fractions
from ebm_cli.wells.site_descent import descend_sites, overlaps

# The number of states up to which all are descended, so that weights are exact.
MAX_ENUMERATED = 2**16


@dataclass(frozen=True)
class FixedPoints:
    """The different fixed points that states descend to, and the number of the one that each state reaches."""

    x: Float[Tensor, "k *event"]
    number: Int[np.ndarray, " n"]


def find_fixed_points(energy: nn.Module, x: Float[Tensor, "n *event"], purpose: str) -> FixedPoints:
    """Descend from all states, from equal ones once, in an order of updates that is the same for all."""
    distinct, which = torch.unique(x.flatten(1), dim=0, return_inverse=True)
    ends = descend_sites(energy, distinct.view(-1, *x.shape[1:]), generator(0, purpose, x.device))
    fixed, number = torch.unique(ends.flatten(1), dim=0, return_inverse=True)
    return FixedPoints(fixed.view(-1, *x.shape[1:]), number[which].cpu().numpy())


def by_fixed_points(
    energy: nn.Module, temperature: float, chains: Chains, draws: int, data: Data | None, min_weight: float
) -> ModeShares:
    """Return the fixed points that draws and training rows descend to. Weights are exact for up to 2¹⁶ states.

    Fixed points are joined if each has less than `min_weight` of the draws and of every reference.
    """
    sites = Sites(space_of(energy), chains.event)
    is_small = sites.n_states <= MAX_ENUMERATED
    few = chains.x if is_small else chains.thinned(draws)
    x = states_of(energy, few.reshape(-1, *chains.event))
    rows = rows_of(data, MAX_DESCENDED_ROWS)
    rows = x[:0] if rows is None else rows.to(x)
    states = sites.enumerated(0, sites.n_states if is_small else 0, x.device, x.dtype)
    found = find_fixed_points(energy, torch.cat([x, rows, states]), "mode_occupancy")
    of_draws, of_rows, of_states = np.split(found.number, np.cumsum([len(x), len(rows)]))
    k, references = len(found.x), {}
    if is_small:
        p = (-values(energy, states).double() / temperature).softmax(0).cpu().numpy()
        references["exact weight"] = np.bincount(of_states, p, minlength=k)
    if len(rows):
        references["data rows"] = mode_fractions(of_rows[None], k)[0]
    fractions = mode_fractions(of_draws.reshape(few.shape[:2]), k)
    kept = heaviest([*references.values(), fractions.mean(0)], min_weight)
    names = names_of(sites, found.x[kept.tolist()], rows) + [OTHERS] * (len(kept) < k)
    return ModeShares(
        names=names,
        numbers=list(range(1, len(names) + 1)),
        fractions=joined(fractions, kept),
        draws=few.shape[1],
        method=f"fixed points of descent at T = 0{'; weights by enumeration' if is_small else ''}",
        references={name: joined(weights, kept) for name, weights in references.items()},
        exact=is_small,
        rows=len(rows),
    )


def heaviest(weights: list[Float[np.ndarray, " k"]], min_weight: float) -> Int[np.ndarray, " kept"]:
    """Return the modes with `min_weight` or more of any of the weights, by decreasing first weights."""
    order = np.argsort(-weights[0], kind="stable")
    return order[np.max(weights, axis=0)[order] >= min_weight]


def joined(weights: Float[np.ndarray, "*chain k"], kept: Int[np.ndarray, " kept"]) -> Float[np.ndarray, "*chain m"]:
    """Return the weights of the kept modes, and of all others together if there are any."""
    if len(kept) == weights.shape[-1]:
        return weights[..., kept]
    others = np.delete(weights, kept, axis=-1).sum(-1, keepdims=True)
    return np.concatenate([weights[..., kept], others], axis=-1)


def names_of(sites: Sites, fixed: Float[Tensor, "k *event"], rows: Float[Tensor, "rows *event"]) -> list[str]:
    """Return names of modes, from 1, with the overlap with the nearest data row."""
    if not len(rows):
        return [f"mode {k}" for k in range(1, len(fixed) + 1)]
    overlap, nearest = (each.tolist() for each in overlaps(sites, fixed, rows).max(1))
    return [
        f"mode {k} with overlap {m:.2f} with row {row}"
        for k, (m, row) in enumerate(zip(overlap, nearest, strict=True), 1)
    ]
