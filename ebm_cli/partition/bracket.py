"""A bracket: weights of paths to the model bound log Z from below, those of paths back from above."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import root_scalar
from scipy.special import expit
from scipy.stats import norm, t

from ebm_cli.estimate import Estimate, refused

# Of each end, one-sided.
LEVEL = 0.975
# Independent parts of all paths, each with an end of its own: enough for an error, and so few that each has many paths.
BLOCKS = 16
# Of the paths, the effective share below which weights are called collapsed, and the least number.
COLLAPSED, FEWEST = 0.1, 3
# In joint standard errors: ends that cross by more are no chance.
CROSSED = 4.0
# In nats: a bracket this wide tells few models apart.
WIDE = 1.0


@dataclass(frozen=True)
class Backward:
    """log weights of paths back from the model, a row for each chain that they begin at; None where there are none.

    mixing: the verdict on these chains. contradicted: whether a search found mass that no chain has been near.
    """

    log_w: Float[np.ndarray, "chain each"] | None
    mixing: Estimate
    contradicted: bool = False


@dataclass(frozen=True)
class End:
    """mean: over blocks. margin: how far the end lies beyond it, Student's quantile of its error."""

    mean: float
    margin: float

    @staticmethod
    def of(values: Float[np.ndarray, " block"]) -> "End":
        """That of independent values."""
        mean, error = average(values)
        return End(mean, quantile(len(values)) * error)


@dataclass(frozen=True)
class Bracketed:
    """estimate: log Z in nats. gap: how far apart the two directions are, their errors left out; None without both."""

    estimate: Estimate
    gap: float | None = None


def bracket(forth: Float[np.ndarray, " n"], back: Backward | None, method: str) -> Bracketed:
    """log Z between ends from both directions, in nats.

    ⟨w⟩ of paths forth is an unbiased estimate of Z (Neal, 2001), so that by Jensen's inequality E log ⟨w⟩ ≤ log Z for
    a mean over any K of them (Burda, Grosse and Salakhutdinov, 2016). With w' of a path back from a draw of the model,
    E log (w' + Σw)/(K + 1) ≥ log Z (Sobolev and Vetrov, 2019; Brekelmans et al., 2022, the independent multi-sample
    bound; K = 0 is Grosse, Ghahramani and Adams, 2015). Both are the tighter the larger K is. Paths go in 16 blocks,
    K = n/16 forth beside one chain's paths back: each end is its mean over blocks moved out by Student's quantile of
    its error, and holds with probability 97.5 %, the upper one as far as chains are draws of the model.
    The value is log ⟨w⟩ of paths forth with error sd(w)/(⟨w⟩√n), or by "bridge" both directions joined; errors of few
    values are raised so that 1.96 of them are Student's interval. Refused where the effective number (Σw)²/Σw² of paths
    is below a tenth of theirs, or 3, or where E log w and E log w' cross by more than chance; and, its lower end kept,
    where a search found mass that chains lack.

    forth: log weights of n ≥ 2 independent estimates; −∞ for those that ended nowhere. method: "ais"; "bridge"; or
    "smc", whose weights forth are of groups of particles: each of them a block, and K = 0 back, as w' is of one path.
    """
    what = "groups of particles" if method == "smc" else "paths"
    n, ess = len(forth), effective(forth)
    more = "raise temperatures or budget"
    if collapsed(forth):
        return Bracketed(refused(f"weights collapsed: {n} {what} count as {ess:.1f}, too few of them; {more}", "nats"))
    value, se = log_mean(forth), as_normal(n) * float(np.sqrt(max(1 / ess - 1 / n, 0.0) * n / (n - 1)))
    said = f"{n} {what} count as {ess:.1f}"
    blocks = np.array_split(forth, n if method == "smc" else min(n, BLOCKS))
    below = End.of(np.array([log_mean(block) for block in blocks]))
    finite = bool(np.isfinite(forth).all())
    lower = below.mean - below.margin if finite else None
    doubts = [] if finite else [f"no optimistic end: some {what} end where the energy is not finite"]
    if back is not None and back.contradicted:
        # Paths forth begin at the same law as the chains, so that their value lacks that mass as well.
        reason = f"no value, only a lower end: {back.mixing.reason}; another base, or rows of all modes"
        return Bracketed(Estimate(None, lower=lower, unit="nats", verdict="refused", reasons=(reason,)))
    if back is None or back.log_w is None or not np.isfinite(back.log_w).all():
        reason = "there are no paths back" if back is None else back.mixing.reason
        if back is not None and back.log_w is not None:
            reason = "draws of the model lie outside of the box that paths begin in: widen box"
        doubts.append(f"no pessimistic end: {reason}")
        return Bracketed(Estimate(value, se=se, lower=lower, unit="nats", reasons=(said,)).with_caution(doubts))
    if crossing := crossed(forth, back.log_w):
        return Bracketed(refused(f"{crossing}; raise steps, {more}", "nats"))
    above = End.of(back.log_w.mean(1) if method == "smc" else beside(blocks, back.log_w))
    upper = above.mean + above.margin
    if method == "bridge":
        value, se = bennett(forth, back.log_w)
        said = f"{said}, joined with {back.log_w.size} paths back"
    found = (said,)
    if back.mixing.verdict == "caution":
        doubts += back.mixing.reasons
    else:
        found = (said, *back.mixing.reasons)
    if lower is not None and lower > upper:
        lower, upper = upper, lower
        doubts.append(f"the ends cross, by no more than they may by chance: {more}")
    if lower is not None and upper - lower > WIDE:
        doubts.append(f"the ends are {upper - lower:.3g} nats apart: {more}")
    if value > upper or (lower is not None and value < lower):
        doubts.append(f"the value lies outside of its bracket: {more}")
    estimate = Estimate(value, se=se, lower=lower, upper=upper, unit="nats", reasons=found).with_caution(doubts)
    return Bracketed(estimate, above.mean - below.mean if finite else None)


def crossed(forth: Float[np.ndarray, " n"], back: Float[np.ndarray, "chain each"]) -> str:
    """How the means of both directions cross beyond chance, in words; empty where they do not.

    Of single weights, as weights beside each other are alike by themselves.
    """
    (below, error), (above, other) = average(forth), average(back.mean(1))
    if below - above <= CROSSED * np.hypot(error, other):
        return ""
    return f"the ends cross, {below:.4g} from below and {above:.4g} from above: chains are no draws of the model"


def beside(
    blocks: Sequence[Float[np.ndarray, " _"]], back: Float[np.ndarray, "block each"]
) -> Float[np.ndarray, " block"]:
    """log (w' + Σw)/(K + 1) of each path back beside its block of paths forth, averaged over those of one chain."""
    return np.array(
        [
            (np.logaddexp(paths, np.logaddexp.reduce(block)) - math.log(len(block) + 1)).mean()
            for block, paths in zip(blocks, back, strict=True)
        ]
    )


def bennett(forth: Float[np.ndarray, " n"], back: Float[np.ndarray, "chain each"]) -> tuple[float, float]:
    """c = log Z at which Σ 1/(1 + e^{c + M − log w}) forth is Σ 1/(1 + e^{log w − c − M}) back, and its error.

    Bennett, 1976 (J. Comput. Phys. 22, 245), eq. 12, with works −log w; M = log(n/n'). The same as optimal bridge
    sampling (Meng and Wong, 1996). The error is from the spread of both sums, of the second over its chains.
    """
    flat = back.flatten()
    M = math.log(len(forth) / len(flat))

    def both(c: float) -> tuple[np.ndarray, np.ndarray]:
        return expit(forth - c - M), expit(c + M - back)

    low, high = min(forth[np.isfinite(forth)].min(), flat.min()) - 1, max(forth.max(), flat.max()) + 1
    ends = [low - abs(M) - 20, high + abs(M) + 20]
    c = float(root_scalar(lambda c: both(c)[0].sum() - both(c)[1].sum(), bracket=ends, method="brentq").root)
    first, second = both(c)
    sums = (first, second.mean(1))
    return c, float(np.hypot(*(as_normal(len(each)) * spread_of_mean(each) / each.mean() for each in sums)))


def spread_of_mean(values: Float[np.ndarray, " n"]) -> float:
    """The standard error of a mean."""
    return float(values.std(ddof=1) / len(values) ** 0.5)


def collapsed(log_w: Float[np.ndarray, " n"]) -> bool:
    """Whether too few of the paths carry the estimate."""
    return effective(log_w) < max(COLLAPSED * len(log_w), FEWEST)


def effective(log_w: Float[np.ndarray, " n"]) -> float:
    """(Σw)²/Σw², from 1 to n; 0 for no weight at all (Kong, Liu and Wong, 1994)."""
    if not np.isfinite(log_w).any():
        return 0.0
    return float(np.exp(2 * np.logaddexp.reduce(log_w) - np.logaddexp.reduce(2 * log_w)))


def log_mean(log_w: Float[np.ndarray, " n"]) -> float:
    """log ⟨w⟩."""
    return float(np.logaddexp.reduce(log_w)) - math.log(len(log_w))


def average(log_w: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """⟨log w⟩ and its standard error; −∞ and ∞ where a weight is 0."""
    if not np.isfinite(log_w).all():
        return -np.inf, np.inf
    return float(log_w.mean()), spread_of_mean(log_w)


def quantile(n: int) -> float:
    """Student's, for a mean of n values."""
    return float(t.ppf(LEVEL, n - 1))


def as_normal(n: int) -> float:
    """What a standard error from n values is multiplied by, so that ±1.96 of it is Student's interval."""
    return quantile(n) / float(norm.ppf(LEVEL))
