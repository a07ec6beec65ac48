"""The numbers whose convergence is examined: coordinates and energy of each state. Their R̂ and ESS."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri
from scipy.stats import rankdata

from ebm_cli.chain.chains import Chains, evenly_spaced
from ebm_cli.estimate import Estimate, IfNotMixed

MAX_COORDINATES = 256


def quantities(chains: Chains) -> dict[str, np.ndarray]:
    """Return the coordinates (at most 256, evenly spaced) and the energy by name, each (chain, draw) in float64.

    Values whose squares would overflow or vanish are divided by a power of ten, which is added to their name. R̂ and ESS
    do not depend on the unit.
    """
    flat = chains.flat()
    chosen = evenly_spaced(flat.shape[2], MAX_COORDINATES)
    named = {chains.coordinate(i): flat[:, :, i] for i in chosen}
    if chains.potential is not None:
        # A coordinate of a user's file may have the name energy.
        named["energy" if "energy" not in named else "potential"] = chains.potential
    return dict(_rescaled(name, values) for name, values in named.items())


def statistic_per_quantity(statistic: Callable[[np.ndarray], Any], named: dict[str, np.ndarray]) -> dict[str, float]:
    """Return a statistic of each quantity by name. Constant quantities and values that are not finite are left out."""
    varying = {name: values for name, values in named.items() if np.ptp(values) > 0}
    numbers = {name: float(np.asarray(statistic(values))) for name, values in varying.items()}
    return {name: number for name, number in numbers.items() if np.isfinite(number)}


def rank_r_hat(values: Float[np.ndarray, "chain draw"]) -> float:
    """Return R̂, rank-normalized, split and folded (Vehtari et al., 2021); NaN if it is undefined."""
    from arviz_stats.base.array import array_stats

    # Spins may be constant within chains, or at equal distances from their median.
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.asarray(array_stats.rhat(values, chain_axis=0, draw_axis=1, method="rank")))


def bulk_ess(values: Float[np.ndarray, "chain draw"]) -> float:
    """Return the bulk ESS of all chains together (Vehtari et al., 2021); NaN if it is undefined."""
    from arviz_stats.base.array import array_stats

    return float(np.asarray(array_stats.ess(values, chain_axis=0, draw_axis=1, method="bulk")))


def normal_scores(values: Float[np.ndarray, "chain draw"]) -> Float[np.ndarray, "chain draw"]:
    """Return Φ⁻¹((rank − 3/8)/(S + 1/4)) over all S draws (Blom, 1958). The scores have moments for any tail."""
    ranks = rankdata(values, method="average").reshape(values.shape)
    return ndtri((ranks - 0.375) / (values.size + 0.25))


def unit_of(values: np.ndarray) -> float:
    """Return the unit in which to express values: 1, or a power of ten if the largest is beyond 10^±100."""
    largest = float(np.abs(values).max(initial=0.0))
    if not np.isfinite(largest) or largest == 0 or 1e-100 < largest < 1e100:
        return 1.0
    return float(10.0 ** max(np.floor(np.log10(largest)), -300))


def mean_over_chains(
    values: Float[np.ndarray, " n"], if_not_mixed: IfNotMixed, meaning: str = "", unit: str | None = None
) -> Estimate:
    """Return the mean over independent chains with its standard error; a single chain has none."""
    scale = unit_of(values)
    scaled = values.astype(np.float64) / scale
    mean = float(scaled.mean() * scale)
    se = float(scaled.std(ddof=1) / len(scaled) ** 0.5 * scale) if len(scaled) > 1 else None
    return Estimate(mean, se=se, unit=unit, meaning=meaning, if_not_mixed=if_not_mixed)


def _rescaled(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """Return the name and the values in a unit in which squares and their sums are finite and not 0."""
    values = values.astype(np.float64)
    scale = unit_of(values)
    return (name, values) if scale == 1 else (f"{name}/{scale:.0e}", values / scale)
