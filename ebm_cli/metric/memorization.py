"""Memorization: whether samples lie closer to training rows than held-out rows do."""

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

from ebm_cli import figure
from ebm_cli.check import InputError
from ebm_cli.estimate import Estimate
from ebm_cli.figure.finding import Finding
from ebm_cli.metric import Subject, noise_of, rows

SUSPICIOUS = 0.75


class Memorization:
    """P(d_sample < d_held_out) + ½P(=), d the distance to the nearest clean training row.

    The Mann–Whitney statistic of the two sets of distances, in [0, 1]: ½ when samples are as far from the
    training set as fresh data, 1 when each is a copy; far below ½ when they are far from any data. After Meehan,
    Chaudhuri and Dasgupta, 2020 (arXiv 2004.05675). Caution from 0.75 on.
    """

    needs_samples = True

    def __call__(self, subject: Subject) -> Finding:
        (samples, held_out), train = subject.pair(), subject.training()
        if subject.data is not None and not subject.data.finite:
            raise InputError("needs a finite training set: these data are fresh draws for ever; data.n=N makes a set")
        reference = rows(train.clean if train.clean is not None else train.x)
        ours, theirs = nearest(rows(samples), reference), nearest(rows(held_out.x), reference)
        value, se = closer(ours, theirs)
        doubts = list(subject.remarks)
        if value - 2 * se > SUSPICIOUS:
            doubts.append(f"samples lie closer to training rows than held-out rows do (above {SUSPICIOUS})")
        closer_than = (
            "samples are no closer to training rows than new data are"
            if abs(value - 0.5) <= 2 * se
            else (f"a sample is closer to the training rows than new data are in {100 * value:.0f} % of cases")
        )
        meaning = f"{closer_than} (50 % is perfect, 100 % is copies)"
        picture, (axes,) = figure.new()
        bins = np.linspace(0, max(np.quantile(ours, 0.99), np.quantile(theirs, 0.99)) * 1.05, 40).tolist()
        axes.hist(theirs, bins=bins, density=True, alpha=0.55, color=figure.BLUE, label="held-out rows")
        axes.hist(ours, bins=bins, density=True, histtype="step", color=figure.RED, linewidth=1.6, label="samples")
        axes.set(xlabel="distance to the nearest training row", ylabel="density")
        axes.legend()
        caption = (
            f"Distance to the nearest training row, of samples and of held-out rows ({noise_of(subject)}): "
            f"memorization {value:.3f} ± {se:.3f}. Good: the two histograms lie over each other, 0.5."
        )
        return Finding({"memorization": Estimate(value, se=se, meaning=meaning).with_caution(doubts)}, picture, caption)


def nearest(x: Float[np.ndarray, "n size"], reference: Float[np.ndarray, "m size"]) -> Float[np.ndarray, " n"]:
    """Each row's distance to the nearest row of `reference`."""
    return np.concatenate([cdist(part, reference).min(1) for part in np.array_split(x, max(1, len(x) // 500))])


def closer(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]) -> tuple[float, float]:
    """P(a < b) + ½P(a = b), and its standard error by Hanley and McNeil, 1982."""
    n, m = len(a), len(b)
    value = 1 - float(mannwhitneyu(a, b).statistic) / (n * m)
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (n - 1) * (q1 - value**2) + (m - 1) * (q2 - value**2)
    return value, float(np.sqrt(max(variance, 0) / (n * m)))
