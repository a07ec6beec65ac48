"""Classifier two-sample test: how well a classifier that was trained to can tell samples from held-out rows."""

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer

from ebm_cli import check, figure
from ebm_cli.estimate import Estimate, refused
from ebm_cli.figure.finding import Finding
from ebm_cli.metric import Subject, binomial_se, mixed, noise_of, rows

LEAST, MOST = 40, 2000
TREES, LEAF, VARIANCE = 100, 5, 0.9
LEVEL = 0.05


class C2ST:
    """t = (1/N) Σᵢ 1[1[f(zᵢ) > ½] = lᵢ], f a classifier of samples (l = 1) from held-out rows (l = 0).

    Lopez-Paz and Oquab, 2017 (arXiv 1610.06545): f learns on one half of both, N/2 rows a side of the other
    half are classified. E t is ½ for equal laws and at most ½ + tv/2. The standard error is the binomial one, given f.
    `c2st_p_value` is (1 + #{t_perm ≥ t})/(1 + permutations) over permutations of the test half's labels: exact
    given f, P(p ≤ α) ≤ α for equal laws whatever f has learnt.

    f is 100 extremely randomised trees (Geurts, Ernst and Wehenkel, 2006) on the rows and their principal components.
    Equal numbers of both sides, 40 to 2,000, split by a seed of their own.

    permutations: ≥ 19, with which p can reach 0.05.
    """

    needs_samples = True

    def __init__(self, permutations: int) -> None:
        check.count("permutations", permutations, least=19)
        self.permutations = permutations

    def __call__(self, subject: Subject) -> Finding:
        samples, held_out = subject.pair()
        n = min(len(samples), len(held_out.x), MOST)
        if n < LEAST:
            mend = "raise samples" if len(samples) < LEAST else "hold out more rows"
            reason = f"needs {LEAST} samples and {subject.compared}, got {len(samples)} and {len(held_out.x)}: {mend}"
            return Finding({"c2st": refused(reason), "c2st_p_value": refused(reason)})
        x, y = rows(mixed(samples, n)), rows(mixed(held_out.x, n))
        score, label = scored(x, y)
        right, tested = correct(score, label), len(label)
        value, se = right / tested, binomial_se(right, tested)
        p = p_value(score, label, self.permutations)
        caption = (
            f"Scores of {tested // 2} samples and as many {subject.compared} ({noise_of(subject)}) by {TREES} "
            f"randomised trees that learnt from others: {value:.1%} ± {se:.1%} are called by their own name, "
            f"p = {p:.3g}. Good: the two histograms lie over each other, 50 % and a p that is not small."
        )
        doubts = list(subject.remarks)
        told = f"a classifier tells samples from data in {100 * value:.0f} % of cases (50 % is perfect)"
        differ = "samples differ from data: " if p <= LEVEL else "no difference between samples and data is seen: "
        chance = f"{differ}chance alone gives one as large in {p:.2g} of cases"
        estimates = {
            "c2st": Estimate(value, se=se, meaning=told).with_caution(doubts),
            "c2st_p_value": Estimate(p, meaning=chance).with_caution(doubts),
        }
        return Finding(estimates, picture(score, label), caption)


def classifier() -> Pipeline:
    """Trees see one column at a time: principal components show them directions across columns."""
    columns = make_union(FunctionTransformer(), PCA(VARIANCE, svd_solver="full"))
    return make_pipeline(columns, ExtraTreesClassifier(TREES, min_samples_leaf=LEAF, random_state=0))


def scored(
    x: Float[np.ndarray, "n size"], y: Float[np.ndarray, "n size"]
) -> tuple[Float[np.ndarray, " tested"], Int[np.ndarray, " tested"]]:
    """f of the second halves, trained on the first, and their labels."""
    half = len(x) // 2
    model = classifier().fit(np.concatenate([x[:half], y[:half]]), np.repeat([1, 0], half))
    score = model.predict_proba(np.concatenate([x[half:], y[half:]]))[:, 1]
    return score, np.repeat([1, 0], len(x) - half)


def correct(score: Float[np.ndarray, " tested"], label: Int[np.ndarray, " tested"]) -> int:
    """N·t, the rows that the score calls by their label."""
    return int(((score > 0.5) == label).sum())


def p_value(score: Float[np.ndarray, " tested"], label: Int[np.ndarray, " tested"], permutations: int) -> float:
    """(1 + #{t_perm ≥ t})/(1 + permutations)."""
    random = np.random.default_rng(0)
    observed = correct(score, label)
    as_good = sum(correct(score, random.permutation(label)) >= observed for _ in range(permutations))
    return (1 + as_good) / (1 + permutations)


def picture(score: Float[np.ndarray, " tested"], label: Int[np.ndarray, " tested"]) -> Figure:
    """Histograms of the score, one of each side."""
    drawn, (axes,) = figure.new()
    bins = np.linspace(0, 1, 41).tolist()
    axes.hist(score[label == 0], bins=bins, density=True, alpha=0.55, color=figure.BLUE, label="held-out rows")
    axes.hist(
        score[label == 1], bins=bins, density=True, histtype="step", color=figure.RED, linewidth=1.6, label="samples"
    )
    axes.axvline(0.5, color=figure.BLACK, linewidth=0.8)
    axes.set(xlabel="score: 0 a held-out row, 1 a sample", ylabel="density")
    axes.legend()
    return drawn
