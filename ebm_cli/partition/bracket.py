"""Brackets: paths from the base to the model bound log Z from below, paths from the model to the base from above."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.bridge import bennett
from ebm_cli.partition.log_weights import (
    bound_quantile,
    effective_number,
    is_collapsed,
    log_mean,
    mean_and_error,
    student_factor,
)

# Paths are divided into this many independent blocks with one bound each. These are enough for a standard error, and
# leave many paths per block.
BLOCKS = 16
# Bounds that cross by more than this many joint standard errors do not cross by chance.
MAX_CROSSING = 4.0
# A wider bracket than this, in nats, distinguishes few models.
MAX_WIDTH = 1.0
REMEDY = "increase temperatures or budget"


@dataclass(frozen=True)
class ReversePaths:
    """Paths from the model to the base.

    log_w: log weights, one row per chain of the model: paths start at its draws. None if there are no paths.
    mixing: the verdict on these chains.
    contradicted: True if a search found mass far from all chains.
    """

    log_w: Float[np.ndarray, "chain each"] | None
    mixing: Estimate
    contradicted: bool = False

    @property
    def problem(self) -> str:
        """Return why these paths give no upper bound; empty if they do."""
        if self.log_w is None:
            return self.mixing.reason
        if not np.isfinite(self.log_w).all():
            return "draws of the model lie outside of the box in which paths start; widen box"
        return ""


@dataclass(frozen=True)
class Bound:
    """A bound on log Z, mean − margin or mean + margin.

    mean: mean over blocks.
    margin: Student's quantile times the standard error of this mean.
    """

    mean: float
    margin: float

    @staticmethod
    def from_blocks(values: Float[np.ndarray, " block"]) -> "Bound":
        """Return the bound given by independent blocks with one value each."""
        mean, error = mean_and_error(values)
        return Bound(mean, bound_quantile(len(values)) * error)


@dataclass(frozen=True)
class ForwardPaths:
    """Paths from the base to the model.

    log_w: log weights, whose exponentials are n ≥ 2 independent estimates of Z; −∞ for paths with a non-finite energy.
    method: the method that made them, see `bracket`.
    """

    log_w: Float[np.ndarray, " n"]
    method: str

    @property
    def units(self) -> str:
        """Return what has one weight each, in words."""
        return "groups of particles" if self.method == "smc" else "paths"

    @property
    def summary(self) -> str:
        """Return the number of weights and their effective sample size, in words."""
        return f"effective sample size {effective_number(self.log_w):.1f} of {len(self.log_w)} {self.units}"

    @property
    def remedy(self) -> str:
        """Return by how much temperatures must increase until weights do not collapse, in words.

        The variance of log weights falls as 1/temperatures, and is about 1 for weights that do not collapse.
        """
        factor = math.ceil(float(self.log_w.var())) if np.isfinite(self.log_w).all() else 0
        return f"{REMEDY}, about {factor} times" if factor > 1 else REMEDY

    @cached_property
    def blocks(self) -> list[Float[np.ndarray, " _"]]:
        """Return the log weights of each block."""
        n = len(self.log_w)
        return np.array_split(self.log_w, n if self.method == "smc" else min(n, BLOCKS))

    @cached_property
    def bound(self) -> Bound:
        """Return the lower bound as mean and margin. The mean is −∞ if all weights of a block are 0."""
        return Bound.from_blocks(np.array([log_mean(block) for block in self.blocks]))

    @property
    def lower(self) -> float | None:
        """Return the lower bound on log Z; None if a path has a non-finite energy."""
        return self.bound.mean - self.bound.margin if np.isfinite(self.log_w).all() else None

    @property
    def cautions(self) -> list[str]:
        """Return the caution that there is no lower bound, if there is none."""
        if self.lower is not None:
            return []
        return [f"no lower bound on log Z: some {self.units} reached states with non-finite energy"]

    def value(self) -> tuple[float, float]:
        """Return log ⟨w⟩ and its standard error sd(w)/(⟨w⟩√n), times `student_factor`."""
        n, ess = len(self.log_w), effective_number(self.log_w)
        return log_mean(self.log_w), student_factor(n) * float(np.sqrt(max(1 / ess - 1 / n, 0.0) * n / (n - 1)))


@dataclass(frozen=True)
class BracketResult:
    """Log Z between its bounds.

    estimate: log Z in nats.
    gap: mean of the upper bound minus mean of the lower bound; None unless there are both.
    """

    estimate: Estimate
    gap: float | None = None


def bracket(forward_log_w: Float[np.ndarray, " n"], reverse: ReversePaths | None, method: str) -> BracketResult:
    """Return log Z in nats between bounds from both directions.

    Lower bound: ⟨w⟩ of forward paths is an unbiased estimate of Z (Neal, 2001). Therefore, by Jensen's inequality,
    E log ⟨w⟩ ≤ log Z for a mean over any K of them (Burda, Grosse and Salakhutdinov, 2016).

    Upper bound: with w' of a reverse path from a draw of the model, E log (w' + Σw)/(K + 1) ≥ log Z (Sobolev and
    Vetrov, 2019; Brekelmans et al., 2022, the independent multi-sample bound; K = 0 is Grosse, Ghahramani and Adams,
    2015).

    Both are tighter for larger K. Paths are divided into 16 blocks: K = n/16 forward paths and the reverse paths of one
    chain. Each bound is the mean over blocks, moved outward by Student's quantile of its standard error. Each holds
    with probability 99.95 %; the upper bound only if the chains are draws of the model.

    The value is log ⟨w⟩ of forward paths, or for "bridge" the estimate of `bennett` from both directions. Errors from
    few values are increased so that ±1.96 of them is Student's interval.

    The value is refused in three cases. The effective sample size of forward paths is below a tenth of their number or
    below 3. The means of log w and log w' cross by more than chance. A search found mass that the chains lack; then the
    lower bound is kept.

    forward_log_w: log weights of n ≥ 2 independent estimates; −∞ for paths with a non-finite energy.
    reverse: paths in the other direction, or None.
    method: "ais", "bridge", or "smc". Each weight of smc belongs to a group of particles. Each group is a block, and
        K = 0 for reverse paths, because w' is the weight of one path.
    """
    forward = ForwardPaths(forward_log_w, method)
    if is_collapsed(forward_log_w):
        return BracketResult(refused(f"importance weights collapsed: {forward.summary}; {forward.remedy}", "nats"))
    if reverse is not None and reverse.contradicted:
        # Chains and forward paths both come from the base. Mass that the chains lack is missing from the value as well.
        reason = f"only a lower bound: {reverse.mixing.reason}; choose another base, or data with samples of all modes"
        return BracketResult(Estimate(None, lower=forward.lower, unit="nats", verdict="refused", reasons=(reason,)))
    problem = "there are no reverse paths" if reverse is None else reverse.problem
    if problem or reverse is None or reverse.log_w is None:
        value, se = forward.value()
        estimate = Estimate(value, se=se, lower=forward.lower, unit="nats", reasons=(forward.summary,))
        return BracketResult(estimate.with_caution([*forward.cautions, f"no upper bound on log Z: {problem}"]))
    if crossing := crossing_message(forward_log_w, reverse.log_w):
        return BracketResult(refused(f"{crossing}; increase steps, temperatures or budget", "nats"))
    return two_sided(forward, reverse.log_w, reverse.mixing)


def two_sided(forward: ForwardPaths, reverse_log_w: Float[np.ndarray, "chain each"], mixing: Estimate) -> BracketResult:
    """Return the bracket given by paths in both directions."""
    is_smc = forward.method == "smc"
    means = reverse_log_w.mean(1) if is_smc else multi_sample_upper_bounds(forward.blocks, reverse_log_w)
    reverse_bound = Bound.from_blocks(means)
    lower, upper = forward.lower, reverse_bound.mean + reverse_bound.margin
    gap = None if lower is None else reverse_bound.mean - forward.bound.mean
    value, se = forward.value()
    summary, cautions = forward.summary, forward.cautions
    if forward.method == "bridge":
        value, se = bennett(forward.log_w, reverse_log_w)
        summary = f"{summary}, joined with {reverse_log_w.size} reverse paths"
    reasons = (summary,)
    if mixing.verdict == "caution":
        cautions += mixing.reasons
    else:
        reasons = (summary, *mixing.reasons)
    if lower is not None and lower > upper:
        lower, upper = upper, lower
        cautions.append(f"the bounds cross, but by no more than chance explains: {REMEDY}")
    if lower is not None and upper - lower > MAX_WIDTH:
        cautions.append(f"the bounds are {upper - lower:.3g} nats apart: {REMEDY}")
    if value > upper or (lower is not None and value < lower):
        cautions.append(f"the value lies outside of its bracket: {REMEDY}")
    estimate = Estimate(value, se=se, lower=lower, upper=upper, unit="nats", reasons=reasons).with_caution(cautions)
    return BracketResult(estimate, gap)


def crossing_message(forward: Float[np.ndarray, " n"], reverse: Float[np.ndarray, "chain each"]) -> str:
    """Return how the mean log weights of both directions cross beyond chance; empty if they do not.

    Single weights are compared, because multi-sample bounds of both directions share weights.
    """
    (lower, lower_error), (upper, upper_error) = mean_and_error(forward), mean_and_error(reverse.mean(1))
    if lower - upper <= MAX_CROSSING * np.hypot(lower_error, upper_error):
        return ""
    return (
        f"the lower bound ({lower:.4g}) exceeds the upper bound ({upper:.4g}), so the reverse chains have not sampled "
        "the model"
    )


def multi_sample_upper_bounds(
    blocks: Sequence[Float[np.ndarray, " _"]], reverse: Float[np.ndarray, "block each"]
) -> Float[np.ndarray, " block"]:
    """Return the mean over a chain's reverse paths of log (w' + Σw)/(K + 1), Σw over the block of forward paths."""
    return np.array(
        [
            (np.logaddexp(paths, np.logaddexp.reduce(block)) - math.log(len(block) + 1)).mean()
            for block, paths in zip(blocks, reverse, strict=True)
        ]
    )
