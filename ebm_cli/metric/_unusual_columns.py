"""The columns, pixels or sites that make a row unusual: how far E falls if one of them gets its best usual value."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.data import DISCRETE, Data, is_image
from ebm_cli.data._sites import Sites
from ebm_cli.energy import space_of
from ebm_cli.metric import EvaluationContext
from ebm_cli.wells.descent import values

# Usual values of a column: quantiles of the held-out rows.
QUANTILES = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
NAMED = 3
# Evaluations of E that the explanation of all rows may take.
MAX_STATES = 2_000_000
# Numbers of the states that are evaluated together.
MAX_NUMBERS = 10_000_000
# Energies fall at least by this fraction of the largest fall to be named.
MIN_FRACTION = 0.05


def usual_values(space: str, event: tuple[int, ...], held_out: Float[Tensor, "n *event"]) -> Float[Tensor, "d q c"]:
    """Return the values that each coordinate is tried with: quantiles of held-out rows, or all values of a site."""
    if space in DISCRETE:
        sites = Sites(space, event)
        return sites.vectors(held_out).expand(sites.count, -1, -1)
    levels = torch.tensor(QUANTILES, dtype=held_out.dtype, device=held_out.device)
    return held_out.flatten(1).quantile(levels, dim=0).T[:, :, None]


def energy_falls(
    context: EvaluationContext, x: Float[Tensor, "n *event"], held_out: Float[Tensor, "m *event"]
) -> Float[np.ndarray, "n d"]:
    """Return max(0, E(x) − min_v E(x with xⱼ = v)) for every coordinate j, v its usual values.

    The other coordinates stay as they are. Therefore a value is unusual that does not fit the others, even if it is a
    common value of its column.
    """
    tried = usual_values(space_of(context.energy), context.event, held_out)
    falls = [
        (e - lowest_energies(context, row, tried)).clamp(min=0).double().cpu().numpy()
        for row, e in zip(x, values(context.energy, x), strict=True)
    ]
    return np.stack(falls) if falls else np.empty((0, len(tried)))


def lowest_energies(
    context: EvaluationContext, row: Float[Tensor, "*event"], tried: Float[Tensor, "d q c"]
) -> Float[Tensor, " d"]:
    """Return the lowest energy of the row with each coordinate set to its usual values, computed in parts."""
    d, q, c = tried.shape
    lowest = []
    for part in torch.arange(d, device=row.device).split(max(1, MAX_NUMBERS // (q * d * c))):
        changed = row.reshape(1, 1, d, c).repeat(len(part), q, 1, 1)
        changed[torch.arange(len(part), device=row.device), :, part] = tried[part]
        lowest.append(values(context.energy, changed.reshape(-1, *context.event)).view(len(part), q).amin(1))
    return torch.cat(lowest)


def explained_rows(context: EvaluationContext) -> int:
    """Return how many rows can be explained within MAX_STATES evaluations of E."""
    space = space_of(context.energy)
    sites = Sites(space, context.event) if space in DISCRETE else None
    per_row = math.prod(context.event) * len(QUANTILES) if sites is None else sites.count * sites.values
    return max(1, MAX_STATES // per_row)


def coordinate_names(event: tuple[int, ...], data: Data | None, d: int) -> list[str]:
    """Return the names of the file's columns, the places of pixels, or x[0], x[1], …"""
    columns = getattr(data, "columns", None)
    if columns is not None and len(columns) == d:
        return [str(name) for name in columns]
    if is_image(event):
        channels, height, width = event
        places = [f"pixel ({i}, {j})" for i in range(height) for j in range(width)]
        return places if channels == 1 else [f"{place} of channel {k}" for k in range(channels) for place in places]
    return [f"x[{i}]" for i in range(d)]


def describe(falls: Float[np.ndarray, " d"], names: list[str]) -> str:
    """Return up to three coordinates with the largest falls of E, as in 'c2 (12.3), c0 (4.1)'; empty without any."""
    order = np.argsort(-falls, kind="stable")[:NAMED]
    shown = [i for i in order if falls[i] > 0 and falls[i] >= MIN_FRACTION * falls[order[0]]]
    return ", ".join(f"{names[i]} ({falls[i]:.3g})" for i in shown)


def unusual_columns(
    context: EvaluationContext,
    x: Float[Tensor, "n *event"],
    e: Float[np.ndarray, " n"],
    called: np.ndarray,
    held_out: Float[Tensor, "m *event"],
) -> tuple[np.ndarray, int]:
    """Return a text per row, empty for rows that are no anomalies, and the number of anomalies left without one.

    If there are more anomalies than can be explained, those with the highest energies are.
    """
    rows = np.flatnonzero(called & np.isfinite(e))
    rows = rows[np.argsort(-e[rows], kind="stable")]
    chosen = rows[: explained_rows(context)]
    falls = energy_falls(context, x[chosen.tolist()], held_out)
    names = coordinate_names(context.event, context.data, falls.shape[1])
    texts = np.full(len(e), "", dtype=object)
    for row, each in zip(chosen, falls, strict=True):
        texts[row] = describe(each, names)
    return texts, len(rows) - len(chosen)
