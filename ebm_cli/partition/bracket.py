"""Brackets: weights of paths from the base bound log Z from below, weights of paths from the model from above."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.optimize import root_scalar
from scipy.special import expit

from ebm_cli.estimate import Estimate, refused
from ebm_cli.partition.log_weights import (
    effective_number,
    is_collapsed,
    log_mean,
    mean_and_error,
    standard_error,
    student_factor,
    student_quantile,
)

# Number of independent blocks of paths with a bound each: enough for a standard error, with many paths per block.
BLOCKS = 16
# Bounds that cross by more than this many joint standard errors do not cross by chance.
MAX_CROSSING = 4.0
# Width of a bracket in nats above which it distinguishes few models.
MAX_WIDTH = 1.0
REMEDY = "increase temperatures or budget"


@dataclass(frozen=True)
class ReversePaths:
    """Paths from the model to the base.

    log_w: log weights, one row for each chain of the model at which they start; None if there are no paths.
    mixing: the verdict on these chains.
    contradicted: True if a search found mass that no chain has been near.
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
    """mean: over blocks. margin: distance of the bound from it, Student's quantile times the standard error."""

    mean: float
    margin: float

    @staticmethod
    def from_blocks(values: Float[np.ndarray, " block"]) -> "Bound":
        """Return the bound that independent values give."""
        mean, error = mean_and_error(values)
        return Bound(mean, student_quantile(len(values)) * error)


@dataclass(frozen=True)
class ForwardPaths:
    """log_w: log weights of n ≥ 2 independent estimates of Z, −∞ for paths with a non-finite energy. method: theirs."""

    log_w: Float[np.ndarray, " n"]
    method: str

    @property
    def units(self) -> str:
        """Return what one weight belongs to."""
        return "groups of particles" if self.method == "smc" else "paths"

    @property
    def summary(self) -> str:
        """Return the number of weights and their effective sample size, in words."""
        return f"effective sample size {effective_number(self.log_w):.1f} of {len(self.log_w)} {self.units}"

    @cached_property
    def blocks(self) -> list[Float[np.ndarray, " _"]]:
        """Return the log weights of each block."""
        n = len(self.log_w)
        return np.array_split(self.log_w, n if self.method == "smc" else min(n, BLOCKS))

    @cached_property
    def bound(self) -> Bound:
        """Return the lower bound; it is infinite if some weight is 0."""
        return Bound.from_blocks(np.array([log_mean(block) for block in self.blocks]))

    @property
    def lower(self) -> float | None:
        """Return the lower bound on log Z; None if a path has a non-finite energy."""
        return self.bound.mean - self.bound.margin if np.isfinite(self.log_w).all() else None

    @property
    def cautions(self) -> list[str]:
        """Return why there is no lower bound, if so."""
        if self.lower is not None:
            return []
        return [f"no lower bound on log Z: some {self.units} reached states with non-finite energy"]

    def value(self) -> tuple[float, float]:
        """Return log ⟨w⟩ and its standard error sd(w)/(⟨w⟩√n)."""
        n, ess = len(self.log_w), effective_number(self.log_w)
        return log_mean(self.log_w), student_factor(n) * float(np.sqrt(max(1 / ess - 1 / n, 0.0) * n / (n - 1)))


@dataclass(frozen=True)
class BracketResult:
    """estimate: log Z in nats. gap: distance between the means of both bounds; None without both."""

    estimate: Estimate
    gap: float | None = None


def bracket(forward_log_w: Float[np.ndarray, " n"], reverse: ReversePaths | None, method: str) -> BracketResult:
    """Return log Z in nats between bounds from both directions.

    ⟨w⟩ of forward paths is an unbiased estimate of Z (Neal, 2001), so that by Jensen's inequality E log ⟨w⟩ ≤ log Z for
    a mean over any K of them (Burda, Grosse and Salakhutdinov, 2016). With w' of a reverse path from a draw of the
    model, E log (w' + Σw)/(K + 1) ≥ log Z (Sobolev and Vetrov, 2019; Brekelmans et al., 2022, the independent
    multi-sample bound; K = 0 is Grosse, Ghahramani and Adams, 2015). Both are tighter for larger K. Paths are divided
    into 16 blocks, K = n/16 forward paths with the reverse paths of one chain. Each bound is the mean over blocks moved
    outward by Student's quantile of its error. It holds with probability 97.5 %, the upper one if chains are draws of
    the model. The value is log ⟨w⟩ of forward paths with error sd(w)/(⟨w⟩√n), or by "bridge" both directions joined.
    Errors from few values are increased so that ±1.96 of them is Student's interval. Refused if the effective sample
    size of forward paths is below a tenth of their number, or 3, or if E log w and E log w' cross by more than chance;
    and, with its lower bound kept, if a search found mass that the chains lack.

    forward_log_w: log weights of n ≥ 2 independent estimates; −∞ for paths with a non-finite energy.
    reverse: paths in the other direction, or None.
    method: "ais", "bridge", or "smc". Weights of smc are of groups of particles: each of them is a block, and K = 0 for
        reverse paths, because w' is the weight of one path.
    """
    forward = ForwardPaths(forward_log_w, method)
    if is_collapsed(forward_log_w):
        return BracketResult(refused(f"importance weights collapsed: {forward.summary}; {REMEDY}", "nats"))
    if reverse is not None and reverse.contradicted:
        # Forward paths start at the same distribution as the chains, so that their value lacks that mass as well.
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
    """Return the bracket that paths in both directions give."""
    smc = forward.method == "smc"
    means = reverse_log_w.mean(1) if smc else multi_sample_upper_bound(forward.blocks, reverse_log_w)
    above = Bound.from_blocks(means)
    lower, upper = forward.lower, above.mean + above.margin
    gap = None if lower is None else above.mean - forward.bound.mean
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
    (below, below_error), (above, above_error) = mean_and_error(forward), mean_and_error(reverse.mean(1))
    if below - above <= MAX_CROSSING * np.hypot(below_error, above_error):
        return ""
    return (
        f"the lower bound ({below:.4g}) exceeds the upper bound ({above:.4g}), so the reverse chains have not sampled "
        "the model"
    )


def multi_sample_upper_bound(
    blocks: Sequence[Float[np.ndarray, " _"]], reverse: Float[np.ndarray, "block each"]
) -> Float[np.ndarray, " block"]:
    """Return log (w' + Σw)/(K + 1) of each reverse path with its block of forward paths, averaged per chain."""
    return np.array(
        [
            (np.logaddexp(paths, np.logaddexp.reduce(block)) - math.log(len(block) + 1)).mean()
            for block, paths in zip(blocks, reverse, strict=True)
        ]
    )


def bennett(forward: Float[np.ndarray, " n"], reverse: Float[np.ndarray, "chain each"]) -> tuple[float, float]:
    """Return log Z and its standard error by the acceptance ratio of both directions.

    c = log Z is where Σ 1/(1 + e^{c + M − log w}) over forward paths equals Σ 1/(1 + e^{log w − c − M}) over reverse
    paths: Bennett, 1976 (J. Comput. Phys. 22, 245), eq. 12, with works −log w and M = log(n/n'). The same as optimal
    bridge sampling (Meng and Wong, 1996). The error is from the variance of both sums, of the second over its chains.
    """
    flat = reverse.flatten()
    M = math.log(len(forward) / len(flat))

    def both(c: float) -> tuple[np.ndarray, np.ndarray]:
        return expit(forward - c - M), expit(c + M - reverse)

    low, high = min(forward[np.isfinite(forward)].min(), flat.min()) - 1, max(forward.max(), flat.max()) + 1
    limits = [low - abs(M) - 20, high + abs(M) + 20]
    c = float(root_scalar(lambda c: both(c)[0].sum() - both(c)[1].sum(), bracket=limits, method="brentq").root)
    first, second = both(c)
    sums = (first, second.mean(1))
    return c, float(np.hypot(*(student_factor(len(each)) * standard_error(each) / each.mean() for each in sums)))
