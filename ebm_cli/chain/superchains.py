"""Superchains: groups of chains that started at the same state, and nested R̂, which tests whether they agree."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import f as f_distribution
from torch import Tensor

from ebm_cli.chain.quantities import normal_scores, statistic_per_quantity

# The smallest number of chains in superchains, and of superchains.
MIN_CHAINS, MIN_SUPERCHAINS = 32, 4
# The probability of a false alarm, over all functions of the state.
LEVEL = 1e-3
# Bound of nested R̂ for long chains, and the bound up to which superchains that agree are evidence of mixing.
BOUND, MAX_BOUND = 1.01, 1.05


@dataclass(frozen=True)
class NestedRHat:
    """Nested R̂ of each function of the state, and the bound of each (`nested_bound`).

    count, size: number of superchains, and of chains in each.
    """

    values: dict[str, float]
    bounds: dict[str, float]
    count: int
    size: int

    @property
    def worst(self) -> str:
        """The function with the largest nested R̂ relative to its bound."""
        return max(self.values, key=lambda name: self.values[name] / self.bounds[name])

    @property
    def agree(self) -> bool:
        """True if no function is above its bound, and chance alone explains only a small nested R̂."""
        within = all(self.values.get(name, np.inf) <= bound for name, bound in self.bounds.items())
        return within and max(self.bounds.values()) <= MAX_BOUND


def number_starts(x: Float[Tensor, "n *event"]) -> Int[np.ndarray, " n"]:
    """Return a number for each initial state; equal states have the same number."""
    return torch.unique(x.flatten(1), dim=0, return_inverse=True)[1].cpu().numpy()


def superchains(starts: Int[np.ndarray, " n"]) -> Int[np.ndarray, "superchain member"] | None:
    """Return the chains of superchains of equal size, as many chains as possible; None if there are too few.

    starts: the number of each chain's initial state.
    """
    groups = [np.flatnonzero(starts == start) for start in np.unique(starts)]
    sizes = np.array([len(group) for group in groups])
    numbers = {size: int((sizes >= size).sum()) for size in range(2, int(sizes.max()) + 1)}
    large = {size: size * n for size, n in numbers.items() if n >= MIN_SUPERCHAINS and size * n >= MIN_CHAINS}
    if not large:
        return None
    size = max(large, key=lambda size: large[size])
    return np.stack([group[:size] for group in groups if len(group) >= size])


def nested_r_hats(functions: dict[str, np.ndarray], starts: Int[np.ndarray, " n"] | None) -> NestedRHat | None:
    """Return nested R̂ of each function that varies; None without superchains or such a function."""
    groups = None if starts is None else superchains(starts)
    varying = {name: values for name, values in functions.items() if np.ptp(values, axis=1).any()}
    if groups is None or not varying:
        return None
    values = statistic_per_quantity(lambda each: nested_r_hat(each, groups), varying)
    bounds = {name: nested_bound(each, groups, len(varying)) for name, each in varying.items()}
    return NestedRHat(values, bounds, *groups.shape) if values else None


def nested_r_hat(values: Float[np.ndarray, "chain draw"], groups: Int[np.ndarray, "superchain member"]) -> float:
    """Return R̂ν = √(1 + B/W), rank-normalized, split and folded.

    Margossian et al., 2024 (Bayesian Analysis, arXiv 2110.13017), equations 4 to 8, by ArviZ's function. B is the
    variance between the means of superchains. W is the variance within them: between the means of a superchain's
    chains, plus within chains. Short chains increase W, and R̂ν stays near 1. A superchain whose mean still depends on
    its initial state increases B.
    """
    from arviz_stats.base.array import array_stats

    names = np.repeat(np.arange(len(groups)), groups.shape[1])
    # A function with two values has a constant distance from its median.
    with np.errstate(invalid="ignore", divide="ignore"):
        found = array_stats.rhat_nested(values[groups.ravel()], names, method="rank", chain_axis=0, draw_axis=1)
    return float(np.asarray(found))


def nested_bound(
    values: Float[np.ndarray, "chain draw"], groups: Int[np.ndarray, "superchain member"], functions: int
) -> float:
    """Return the bound √(1 + max(τ, q·v/M)) of nested R̂, with τ = 1.01² − 1 and M chains per superchain.

    v is the variance between means of chains of one superchain, relative to W. For chains that have forgotten their
    initial states B has the mean v/M, and for chains of one draw v = 1: there R̂ν ≈ √(1 + 1/M) (Margossian et al.,
    2024, section 3). B·M/v has an F distribution with K − 1 and K(M − 1) degrees of freedom for K superchains; q is
    its quantile for a level of 1e-3 over all functions.
    """
    count, size = groups.shape
    quantile = float(f_distribution.isf(LEVEL / (2 * functions), count - 1, count * (size - 1)))
    fraction = max(_between_chains(each, groups) for each in (values, np.abs(values - np.median(values))))
    return float(np.sqrt(1 + max(BOUND**2 - 1, quantile * fraction / size)))


def _between_chains(values: Float[np.ndarray, "chain draw"], groups: Int[np.ndarray, "superchain member"]) -> float:
    """Return the fraction of the variance within superchains that is between chains, in normal scores."""
    if not np.ptp(values) > 0:
        return 0.0
    scores = normal_scores(values[groups.ravel()]).reshape(*groups.shape, -1)
    between = float(scores.mean(2).var(1, ddof=1).mean())
    total = between + float(scores.var(2, ddof=1).mean())
    return between / total if total > 0 else 0.0
