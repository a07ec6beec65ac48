"""A bracket: weights of paths to the model bound log Z from below, those of paths back from above."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.stats import t

from ebm_cli.estimate import Estimate, refused

# Of each end, one-sided.
LEVEL = 0.975
# Of the chains, the effective share below which weights are called collapsed.
COLLAPSED = 0.1
# In joint standard errors: ends that cross by more are no chance.
CROSSED = 4.0
# In nats: a bracket this wide tells few models apart.
WIDE = 1.0


@dataclass(frozen=True)
class Backward:
    """log weights of paths back from the model; None where the chains that they begin at are not `mixing`."""

    log_w: Float[np.ndarray, " n"] | None
    mixing: Estimate

    def shifted(self, offset: float) -> "Backward":
        """The same with `offset` added to every log weight."""
        return self if self.log_w is None else dataclasses.replace(self, log_w=self.log_w + offset)


def bracket(forth: Float[np.ndarray, " n"], back: Backward | None) -> Estimate:
    """log Z = log ⟨w⟩ with error sd(w)/(⟨w⟩√n), between the ends ⟨log w⟩ ∓ z·sd(log w)/√n of both directions, in nats.

    ⟨w⟩ of paths forth is an unbiased estimate of Z (Neal, 2001), so that by Jensen's inequality E log w ≤ log Z; of
    paths back, E log w ≥ log Z (Grosse, Ghahramani and Adams, 2015, arXiv 1511.02543, eq. 8). z is Student's quantile:
    each end holds with probability 97.5 %, the upper one as far as the chains it begins at are draws of the model.
    Refused where the effective number (Σw)²/Σw² of paths is below a tenth of theirs, or where the ends cross by more
    than chance.

    forth: log weights of n ≥ 2 paths; −∞ for those that ended nowhere. back: None where there are none.
    """
    n, ess = len(forth), effective(forth)
    more = "raise temperatures"
    if collapsed(forth):
        return refused(f"weights collapsed: {n} paths count as {ess:.1f}, fewer than a tenth of them; {more}", "nats")
    value, se = log_sum(forth) - float(np.log(n)), float(np.sqrt(max(1 / ess - 1 / n, 0.0) * n / (n - 1)))
    said = f"{n} paths count as {ess:.1f}"
    mean, error = average(forth)
    lower = mean - z_of(n) * error if np.isfinite(mean) else None
    doubts = [] if lower is not None else ["no optimistic end: some paths end where the energy is not finite"]
    upper = None
    if back is None or back.log_w is None or not np.isfinite(back.log_w).all():
        doubts.append(f"no pessimistic end: {back.mixing.reason if back is not None else 'there are no paths back'}")
    else:
        above, above_error = average(back.log_w)
        upper = above + z_of(len(back.log_w)) * above_error
        if mean - above > CROSSED * np.hypot(error, above_error):
            return refused(
                f"the ends cross, {mean:.4g} from below and {above:.4g} from above: chains are no draws of the model; "
                f"raise steps, {more}",
                "nats",
            )
        doubts += [back.mixing.reason] if back.mixing.verdict == "caution" else []
        if lower is not None and lower > upper:
            lower, upper = upper, lower
            doubts.append(f"the ends cross, by no more than they may by chance: {more}")
        if lower is not None and upper - lower > WIDE:
            doubts.append(f"the ends are {upper - lower:.3g} nats apart: {more}")
        if value > upper or (lower is not None and value < lower):
            doubts.append(f"the value lies outside of its bracket: {more}")
    return Estimate(value, se=se, lower=lower, upper=upper, unit="nats", reason=said).doubted(doubts)


def collapsed(log_w: Float[np.ndarray, " n"]) -> bool:
    """Whether fewer than a tenth of the paths carry the estimate."""
    return effective(log_w) < COLLAPSED * len(log_w)


def effective(log_w: Float[np.ndarray, " n"]) -> float:
    """(Σw)²/Σw², from 1 to n; 0 for no weight at all (Kong, Liu and Wong, 1994)."""
    if not np.isfinite(log_w).any():
        return 0.0
    return float(np.exp(2 * log_sum(log_w) - log_sum(2 * log_w)))


def log_sum(log_w: Float[np.ndarray, " n"]) -> float:
    """log Σw."""
    return float(np.logaddexp.reduce(log_w))


def average(log_w: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """⟨log w⟩ and its standard error; −∞ and ∞ where a weight is 0."""
    if not np.isfinite(log_w).all():
        return -np.inf, np.inf
    return float(log_w.mean()), float(log_w.std(ddof=1) / len(log_w) ** 0.5)


def z_of(n: int) -> float:
    """Student's quantile for a mean of n values."""
    return float(t.ppf(LEVEL, n - 1))
