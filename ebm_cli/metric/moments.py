"""First and second moments of samples, compared with held-out rows. Any useful model reproduces them."""

import numpy as np
from jaxtyping import Float

from ebm_cli import check
from ebm_cli.estimate import Estimate, Result, all_refused
from ebm_cli.metric import EvaluationContext, bootstrap_se, rows

UNITS = {"mean_error": None, "std_ratio": None}
# Of fewer rows, a resampling can contain copies of a single one.
MIN_ROWS = 10


class Moments:
    """mean_error = ‖μ − μ_d‖/√tr C_d;  std_ratio = √(tr C/tr C_d).

    μ and C: mean and covariance of the n samples. μ_d and C_d: mean and covariance of the m held-out rows. For equal
    distributions std_ratio is 1, and mean_error is near √(1/n + 1/m). Up to twice that value, chance explains it.
    Both are refused below ten rows per side.

    bootstrap: resamplings for the standard errors (≥ 2).
    """

    needs_samples = True

    def __init__(self, bootstrap: int) -> None:
        check.count("bootstrap", bootstrap, minimum=2)
        self.bootstrap = bootstrap

    def __call__(self, context: EvaluationContext) -> Result:
        samples, held_out = context.vector_pair()
        both = [rows(samples), rows(held_out.x)]
        if min(len(x) for x in both) < MIN_ROWS:
            sizes = f"got {len(both[0])} and {len(both[1])}"
            return all_refused(UNITS, f"needs {MIN_ROWS} samples and {context.held_out_name}, {sizes}")
        error, ratio = mean_error(*both), std_ratio(*both)
        error_se = bootstrap_se(mean_error, both, seed=0, repeats=self.bootstrap)
        ratio_se = bootstrap_se(std_ratio, both, seed=1, repeats=self.bootstrap)
        floor = sum(1 / len(x) for x in both) ** 0.5
        name = context.samples_name
        means = f"means of {name} and data differ by {error / floor:.2g} times what chance gives, {floor:.2g}"
        if error < 2 * floor:
            means = f"means of {name} and data differ no more than by chance ({floor:.2g}): good"
        stds = f"{name} have the standard deviation of the data (1 is perfect)"
        if abs(ratio - 1) > 2 * ratio_se:
            stds = f"{name} have {ratio:.3g} times the standard deviation of the data (1 is perfect)"
        return Result(
            {
                "mean_error": context.of_samples(Estimate(error, se=error_se, meaning=means)),
                "std_ratio": context.of_samples(Estimate(ratio, se=ratio_se, meaning=stds)),
            }
        )


def mean_error(x: Float[np.ndarray, "n size"], y: Float[np.ndarray, "m size"]) -> float:
    """Return the distance of the means in standard deviations of the data."""
    return float(np.linalg.norm(x.mean(0) - y.mean(0)) / np.sqrt(y.var(0, ddof=1).sum()))


def std_ratio(x: Float[np.ndarray, "n size"], y: Float[np.ndarray, "m size"]) -> float:
    """Return the standard deviation of the samples in standard deviations of the data."""
    return float(np.sqrt(x.var(0, ddof=1).sum() / y.var(0, ddof=1).sum()))
