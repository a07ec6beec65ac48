"""First and second moments of samples against held-out rows: the least that a model must get right."""

import numpy as np
from jaxtyping import Float

from ebm_cli import check
from ebm_cli.estimate import Estimate
from ebm_cli.figure.finding import Finding
from ebm_cli.metric import Subject, bootstrap_se, rows


class Moments:
    """mean_error = ‖μ − μ_d‖/√tr C_d;  std_ratio = √(tr C/tr C_d).

    μ, C of the samples and μ_d, C_d of the held-out rows. Matching laws give std_ratio 1 and a mean_error near
    √(1/n + 1/m), which is its floor and not 0; below twice that it is no larger than by chance.

    bootstrap: resamplings ≥ 2 for the standard errors.
    """

    needs_samples = True

    def __init__(self, bootstrap: int) -> None:
        check.count("bootstrap", bootstrap, least=2)
        self.bootstrap = bootstrap

    def __call__(self, subject: Subject) -> Finding:
        samples, held_out = subject.pair()
        x, y = rows(samples), rows(held_out.x)
        error, ratio = mean_error(x, y), std_ratio(x, y)
        floor = (1 / len(x) + 1 / len(y)) ** 0.5
        if error < 2 * floor:
            apart = f"means of samples and data differ no more than by chance, which gives {floor:.2g}: good"
        else:
            apart = f"means of samples and data differ by {error / floor:.2g} times what chance gives, {floor:.2g}"
        wide = "samples spread as widely as data (1 is perfect)"
        ratio_se = bootstrap_se(std_ratio, [x, y], seed=1, repeats=self.bootstrap)
        if abs(ratio - 1) > 2 * ratio_se:
            wide = f"samples spread {ratio:.3g} times as widely as data (1 is perfect)"
        remarks = list(subject.remarks)
        return Finding(
            {
                "mean_error": Estimate(
                    error, se=bootstrap_se(mean_error, [x, y], seed=0, repeats=self.bootstrap), meaning=apart
                ).with_caution(remarks),
                "std_ratio": Estimate(ratio, se=ratio_se, meaning=wide).with_caution(remarks),
            }
        )


def mean_error(x: Float[np.ndarray, "n size"], y: Float[np.ndarray, "m size"]) -> float:
    """Distance of the means in units of the data's spread."""
    return float(np.linalg.norm(x.mean(0) - y.mean(0)) / np.sqrt(y.var(0, ddof=1).sum()))


def std_ratio(x: Float[np.ndarray, "n size"], y: Float[np.ndarray, "m size"]) -> float:
    """Spread of samples over spread of data."""
    return float(np.sqrt(x.var(0, ddof=1).sum() / y.var(0, ddof=1).sum()))
