"""The modes of a model, with the fraction of each chain's draws in every mode and reference fractions."""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.chain.chains import Chains, evenly_spaced
from ebm_cli.data import Data
from ebm_cli.data._rows import noisy_available_rows
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.wells.basins import find_basins
from ebm_cli.wells.descent import distances, rms_radius, states_of
from ebm_cli.wells.modes import find_modes, mode_fractions, place_of

MAX_ROWS = 2000
MAX_DESCENDED_ROWS = 500
# The name of modes with little weight that are counted as one.
OTHERS = "others"


@dataclass(frozen=True)
class ModeShares:
    """The fraction of each chain's draws in each mode, and the reference fractions.

    names, numbers: labels of the modes, for reasons and for the picture.
    fractions: fraction of each chain's draws in each mode.
    draws: number of draws per chain.
    method: a description of how modes were found.
    references: fractions by their origin; the first decides whether a mode is missing.
    exact: True if the first reference is exact.
    rows: number of data rows from which it comes otherwise.
    points: the positions of the modes, if states are points in the plane.
    """

    names: list[str]
    numbers: list[int]
    fractions: Float[np.ndarray, "chain k"]
    draws: int
    method: str
    references: dict[str, Float[np.ndarray, " k"]] = field(default_factory=dict)
    exact: bool = True
    rows: int = 0
    points: Float[np.ndarray, "k 2"] | None = None

    @property
    def labels(self) -> list[str]:
        """Short names for axes and captions."""
        pairs = zip(self.names, self.numbers, strict=True)
        return [name if name == OTHERS else str(number) for name, number in pairs]

    @property
    def occupancy(self) -> Float[np.ndarray, " k"]:
        """The mean over chains."""
        return self.fractions.mean(0).clip(0, 1)

    @property
    def se(self) -> Float[np.ndarray, " k"]:
        """The standard error of the mean over chains."""
        return self.fractions.std(0, ddof=1) / len(self.fractions) ** 0.5


def by_components(energy: GaussianMixture, chains: Chains) -> ModeShares:
    """Return the components of a Gaussian mixture; a draw is divided among them by responsibility."""
    count, draws = chains.x.shape[:2]
    with torch.no_grad():
        x = states_of(energy, chains.flat().reshape(count * draws, -1))
        weights, means = energy.logits.softmax(0).double().cpu().numpy(), energy.means.double().cpu().numpy()
        squares = distances(x, energy.means).square() / (2 * energy.log_stds).exp()
        log_parts = energy.logits - x.shape[1] * energy.log_stds - squares / 2
        responsibility = log_parts.double().softmax(1).cpu().numpy()
    return ModeShares(
        **mode_labels(means),
        fractions=responsibility.reshape(count, draws, -1).mean(1),
        draws=draws,
        method="components of the mixture, by responsibility",
        references={"exact weight": weights},
    )


def by_basins(
    energy: nn.Module, temperature: float, chains: Chains, data: Data | None, barrier: float
) -> ModeShares | None:
    """Return the basins of an energy in one or two dimensions; None if exp(−E/T) does not vanish far away."""
    count, draws = chains.x.shape[:2]
    x = chains.flat().reshape(count * draws, -1).astype(float)
    rows = rows_of(data, MAX_ROWS)
    around = x if rows is None else np.concatenate([x, rows.double().cpu().numpy()])
    found = find_basins(energy, around, temperature, barrier, temperature)
    if found is None:
        return None
    weights = found.weights(temperature)
    order = np.argsort(-weights)
    references = {"exact weight": weights[order]}
    if rows is not None:
        of_rows = mode_fractions(found.assign(rows.double().cpu().numpy())[None], len(weights))[0]
        references["data rows"] = of_rows[order]
    return ModeShares(
        **mode_labels(found.modes.lowest.double().cpu().numpy()[order]),
        fractions=mode_fractions(found.assign(x).reshape(count, draws), len(weights))[:, order],
        draws=draws,
        method=f"basins of E, joined below {barrier:g} T; weights by quadrature",
        references=references,
    )


def by_descent(
    energy: nn.Module,
    temperature: float,
    few: Float[np.ndarray, "chain draw *event"],
    data: Data | None,
    barrier: float,
) -> ModeShares:
    """Return the minima that draws and training rows descend to."""
    count, draws = few.shape[:2]
    x = states_of(energy, few.reshape(count * draws, *few.shape[2:]))
    rows = rows_of(data, MAX_DESCENDED_ROWS)
    both = x if rows is None else torch.cat([x, rows.to(x)])
    modes, mode = find_modes(energy, both, temperature, barrier, reach=0.1 * rms_radius(both))
    fractions = mode_fractions(mode[: count * draws].reshape(count, draws), len(modes))
    weights = None if rows is None else mode_fractions(mode[None, count * draws :], len(modes))[0]
    order = np.argsort(-(fractions.mean(0) if weights is None else weights), kind="stable")
    return ModeShares(
        **mode_labels(modes.lowest.flatten(1).double().cpu().numpy()[order]),
        fractions=fractions[:, order],
        draws=draws,
        method=f"minima that draws{'' if rows is None else ' and data rows'} descend to, joined below {barrier:g} T",
        references={} if weights is None else {"data rows": weights[order]},
        exact=False,
        rows=0 if rows is None else len(rows),
    )


def mode_labels(points: Float[np.ndarray, "k d"]) -> dict:
    """Return names and numbers of modes, from 1, and their positions if these are points in the plane."""
    return {
        "names": [f"mode {k}{place_of(point)}" for k, point in enumerate(points, 1)],
        "numbers": list(range(1, len(points) + 1)),
        "points": points if points.shape[1] == 2 else None,
    }


def rows_of(data: Data | None, max_rows: int) -> Tensor | None:
    """Return up to `max_rows` training rows with their noise, evenly chosen; None without data."""
    if data is None:
        return None
    x = noisy_available_rows(data, 0).x
    return x[evenly_spaced(len(x), max_rows)]
