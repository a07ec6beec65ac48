"""The outcome of probes: whether extra chains that started farther out came to the region of the chains."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.special import entr

from ebm_cli.chain.chains import Chains
from ebm_cli.chain.loop import Trajectory
from ebm_cli.data import DISCRETE, _angles
from ebm_cli.mixing.visited import VisitedRegion

# The smallest number of probes.
MIN_PROBES = 16
# The interquartile range of a normal distribution, in standard deviations.
NORMAL_IQR = 1.349
# A region with less than this fraction of the chains' mass does not count as a missed mode.
NEGLIGIBLE_MASS = 1e-3
MAX_NAMED_DIMENSION = 3


@dataclass(frozen=True)
class ProbeResult:
    """The outcome of the probes.

    outcome: converged to the chains' region, separate from it, or inconclusive.
    message: the reason for this outcome.
    """

    outcome: Literal["converged", "separate", "inconclusive"]
    message: str


def robust_std(x: Float[np.ndarray, "n size"]) -> Float[np.ndarray, " size"]:
    """Return the standard deviation per coordinate from its quartiles; from its variance if the quartiles are equal."""
    low, high = np.quantile(x, [0.25, 0.75], axis=0)
    robust = (high - low) / NORMAL_IQR
    return np.where(robust > 0, robust, x.std(0))


def classify_probes(
    done: Trajectory, chains: Chains, temperature: float, label: str, origin: str, space: str
) -> ProbeResult:
    """Return the outcome of the probes, by the distance of their states from the region that the chains visited.

    label, origin: a description of the probes, and of where they start.
    space: of the states.
    """
    x = chains.rows(done.x.flatten(2).double().cpu().numpy())
    e = done.energy.double().cpu().numpy()
    finite: np.ndarray = np.isfinite(e).all(0) & np.asarray(np.isfinite(x).all((0, 2)))
    if finite.sum() < max(4, len(finite) // 4):
        return ProbeResult("inconclusive", f"{(~finite).sum()} of {label} became not finite")
    x, e = x[:, finite], e[:, finite]
    scale = np.maximum(robust_std(chains.flat().reshape(-1, x.shape[2])), 1e-12)
    visited = VisitedRegion(chains.flat() / scale)
    distance = visited.distance(x.reshape(-1, x.shape[2]) / scale).reshape(x.shape[:2])
    away: np.ndarray = np.median(distance[len(x) // 2 :], axis=0) > visited.near
    if not away.any():
        return ProbeResult("converged", f"{label}, {origin}, reached the same region")
    approaching = has_decreased(distance, 0.2 * distance.mean(0))
    stays = away & ~approaching & ~has_decreased(e, np.full(len(away), temperature))
    # A single probe outside may only be late.
    if stays.sum() < 2:
        late = f"{away.sum()} of {label} had not reached the original chains' region when they ended"
        return ProbeResult("inconclusive", f"{late}. Type {chains.longer(2)}")
    x, e = x[:, stays], e[:, stays]
    enough_elsewhere = (~away).sum() >= MIN_PROBES // 4
    if enough_elsewhere and log_mass_ratio(x, e, chains, scale, temperature, space) < np.log(NEGLIGIBLE_MASS):
        where = "settled where less than a thousandth of the mass is"
        return ProbeResult("converged", f"{stays.sum()} of {label} {where}, the others reached the same region")
    return ProbeResult("separate", separate_message(x, e, chains, temperature, f"{stays.sum()} of {label}"))


def log_mass_ratio(
    x: Float[np.ndarray, "draw n size"],
    e: Float[np.ndarray, "draw n"],
    chains: Chains,
    scale: Float[np.ndarray, " size"],
    temperature: float,
    space: str,
) -> float:
    """Return the largest log of exp(−ΔE/T) times the ratio of volumes; ∞ if it is unknown.

    For discrete states, the log of the ratio of volumes is the difference of entropies of independent sites. Angles
    have circular standard deviations.

    scale: the chains' standard deviations.
    """
    if chains.potential is None or temperature <= 0:
        return np.inf
    if space in DISCRETE:
        flat = chains.flat()
        wider = site_entropy(x, space) - site_entropy(flat.reshape(-1, 1, flat.shape[2]), space)
    elif space == _angles.SPACE:
        own = np.maximum(_angles.circular_std(chains.x.reshape(-1, 1, x.shape[2] // 2)), 1e-12)
        wider = np.log(np.maximum(_angles.circular_std(_angles.angles_of(x)) / own, 1)).sum(1)
    else:
        wider = np.maximum(np.log(np.maximum(x.std(0), 1e-12) / scale), 0).sum(1)
    return float((wider - (e.mean(0) - np.mean(chains.potential)) / temperature).max())


def site_entropy(x: Float[np.ndarray, "draw n size"], space: str) -> Float[np.ndarray, " n"]:
    """Return the entropy in nats of independent sites with the frequencies of the draws."""
    p = x.mean(0) if space == "categorical" else (x > 0).mean(0)
    # The columns of a one-hot site are its values.
    h = entr(p) if space == "categorical" else entr(p) + entr(1 - p)
    return h.sum(1)


def separate_message(
    x: Float[np.ndarray, "draw n size"], e: Float[np.ndarray, "draw n"], chains: Chains, temperature: float, who: str
) -> str:
    """Return where the probes settled, their energy compared with the chains', and what to do."""
    middle = np.median(x[-1], 0)
    middle = _angles.angles_of(middle) if chains.space == _angles.SPACE else middle
    where = f", near ({', '.join(f'{v:.3g}' for v in middle)})" if len(middle) <= MAX_NAMED_DIMENSION else ""
    level = ""
    if chains.potential is not None:
        gap = float(e.mean() - np.mean(chains.potential)) if temperature > 0 else 0.0
        level = f", with energy {abs(gap):.3g} {'higher' if gap > 0 else 'lower'} than the original chains"
    remedy = f"Start chains in every mode (start=data), or type {chains.across_barriers()}"
    return f"{who} settled in a different region{where}{level}. {remedy}"


def has_decreased(values: Float[np.ndarray, "draw n"], by: Float[np.ndarray, " n"]) -> np.ndarray:
    """Return True for each column with a lower mean in its second half, by more than `by` and 3 standard errors."""
    early, late = np.array_split(values, 2)
    error = np.sqrt(early.var(0) / len(early) + late.var(0) / len(late))
    return early.mean(0) - late.mean(0) > np.maximum(by, 3 * error)
