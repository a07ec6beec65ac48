"""Classifier two-sample test: the accuracy of a classifier that separates samples from held-out rows."""

import numpy as np
from jaxtyping import Float, Int
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer

from ebm_cli import check
from ebm_cli.estimate import Estimate, Picture, Result, all_refused
from ebm_cli.metric import EvaluationContext, binomial_se, rows, shuffled

UNITS = {"c2st": None, "c2st_p_value": None}
MIN_ROWS, MAX_ROWS = 40, 2000
TREES, MIN_LEAF_ROWS, EXPLAINED_VARIANCE = 100, 5, 0.9
LEVEL = 0.05


class C2ST:
    """t = (1/N) Σᵢ 1[1[f(zᵢ) > ½] = lᵢ], f a classifier that separates samples (l = 1) from held-out rows (l = 0).

    Lopez-Paz and Oquab, 2017 (arXiv 1610.06545): f is trained on one half of both, and N/2 rows per side of the other
    half are classified. E t is ½ for equal distributions and never above ½ + tv/2. The standard error is the binomial
    error for a fixed f. `c2st_p_value` is (1 + #{t_perm ≥ t})/(1 + permutations) over permutations of the test half's
    labels. It is exact: P(p ≤ α) ≤ α for equal distributions and any f.

    f is 100 extremely randomized trees (Geurts, Ernst and Wehenkel, 2006) on the rows and their principal components.
    Both sides have the same number of rows, 40 to 2,000, and are split in the same way in every run.

    permutations: number of permutations (≥ 19, with which p can reach 0.05).
    """

    needs_samples = True

    def __init__(self, permutations: int) -> None:
        check.count("permutations", permutations, minimum=19)
        self.permutations = permutations

    def __call__(self, context: EvaluationContext) -> Result:
        samples, held_out = context.vector_pair()
        n = min(len(samples), len(held_out.x), MAX_ROWS)
        if n < MIN_ROWS:
            remedy = "Increase samples" if len(samples) < MIN_ROWS else "Hold out more rows"
            sizes = f"got {len(samples)} and {len(held_out.x)}"
            return all_refused(UNITS, f"needs {MIN_ROWS} samples and {context.held_out_name}, {sizes}. {remedy}")
        score, label = second_half_scores(rows(shuffled(samples, n)), rows(shuffled(held_out.x, n)))
        right, tested = n_correct(score, label), len(label)
        value, se, p = right / tested, binomial_se(right, tested), p_value(score, label, self.permutations)
        name = context.samples_name
        accuracy = f"a classifier separates {name} from data in {100 * value:.0f} % of cases (50 % is perfect)"
        differ = f"{name} differ from data" if p <= LEVEL else f"no difference between {name} and data was found"
        chance = f"{differ}: by chance the accuracy is as large in {p:.2g} of cases"
        estimates = {
            "c2st": context.of_samples(Estimate(value, se=se, meaning=accuracy)),
            "c2st_p_value": context.of_samples(Estimate(p, meaning=chance)),
        }
        tested_rows = f"{tested // 2} samples and the same number of {context.held_out_name} ({context.noise})"
        return Result(estimates, (score, label, tested_rows), picture)


def classifier() -> Pipeline:
    """Return trees on columns and principal components. A tree splits one column at a time; components combine them."""
    columns = make_union(FunctionTransformer(), PCA(EXPLAINED_VARIANCE, svd_solver="full"))
    return make_pipeline(columns, ExtraTreesClassifier(TREES, min_samples_leaf=MIN_LEAF_ROWS, random_state=0))


def second_half_scores(
    x: Float[np.ndarray, "n size"], y: Float[np.ndarray, "n size"]
) -> tuple[Float[np.ndarray, " tested"], Int[np.ndarray, " tested"]]:
    """Return f of the second halves, trained on the first, and their labels."""
    half = len(x) // 2
    model = classifier().fit(np.concatenate([x[:half], y[:half]]), np.repeat([1, 0], half))
    score = model.predict_proba(np.concatenate([x[half:], y[half:]]))[:, 1]
    return score, np.repeat([1, 0], len(x) - half)


def n_correct(score: Float[np.ndarray, " tested"], label: Int[np.ndarray, " tested"]) -> int:
    """Return N·t, the number of rows that are classified correctly."""
    return int(((score > 0.5) == label).sum())


def p_value(score: Float[np.ndarray, " tested"], label: Int[np.ndarray, " tested"], permutations: int) -> float:
    """Return (1 + #{t_perm ≥ t})/(1 + permutations)."""
    random = np.random.default_rng(0)
    observed = n_correct(score, label)
    as_good = sum(n_correct(score, random.permutation(label)) >= observed for _ in range(permutations))
    return (1 + as_good) / (1 + permutations)


def picture(result: Result) -> Picture:
    """Draw the histogram of the score for each side."""
    from ebm_cli import figure

    (score, label, tested_rows), accuracy = result.arrays, result.estimates["c2st"]
    drawn, (axes,) = figure.new()
    bins = np.linspace(0, 1, 41).tolist()
    axes.hist(score[label == 0], bins=bins, density=True, alpha=0.55, color=figure.BLUE, label="held-out rows")
    line = {"histtype": "step", "color": figure.RED, "linewidth": 1.6}
    axes.hist(score[label == 1], bins=bins, density=True, label="samples", **line)
    axes.axvline(0.5, color=figure.BLACK, linewidth=0.8)
    axes.set(xlabel="score: 0 a held-out row, 1 a sample", ylabel="density")
    axes.legend()
    return drawn, (
        f"Scores of {tested_rows} by {TREES} randomized trees that were trained on other rows. Classifier accuracy "
        f"{accuracy.value:.1%} ± {accuracy.se:.1%} (p = {result.estimates['c2st_p_value'].value:.3g}). If samples and "
        "held-out data had the same distribution, the histograms would overlap and accuracy would be near 50 %."
    )
