"""How well draws given an observation predict the true states, next to simple predictions from the training rows."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ebm_cli.condition import Condition
from ebm_cli.density.normals import NormalMixture
from ebm_cli.estimate import Estimate, IfNotMixed
from ebm_cli.sampling.conditional_chains import ConditionalDraws
from ebm_cli.sampling.priors import Prior

# The central interval whose coverage is reported, and the levels of the figure of coverage.
LEVEL = 0.8
LEVELS = np.arange(0.1, 0.95, 0.1)
MEANINGS = {
    "gaussian": "by the conditional mean of a Gaussian that is fitted to the training rows",
    "mixture": "by that of a mixture of Gaussians",
    "nearest": "by the training row nearest to what is known",
}
# The name of the prediction by draws of the model.
MODEL = "model"
# A class is predicted only from at least this many labeled rows.
MIN_LABELED = 20


@dataclass(frozen=True)
class Scores:
    """Of one observation with a known true state, over the coordinates that are drawn.

    squares: mean squared error of a prediction, by its name; MODEL is the mean of the draws.
    logs: log density of the true state per coordinate, in nats, by the name of the density.
    coverage: fraction of coordinates in the central interval of each of LEVELS; None for discrete states.
    spread: mean standard deviation.
    """

    squares: dict[str, float]
    logs: dict[str, float]
    coverage: Float[np.ndarray, " levels"] | None
    spread: float


def score(draws: ConditionalDraws, condition: Condition, prior: Prior) -> Scores | None:
    """Return the scores of one observation; None without a true state or without draws."""
    if draws.seen.truth is None or len(draws.x) < 2:
        return None
    at = draws.drawn.flatten()
    truth, x = draws.seen.truth.flatten()[at].double().cpu(), draws.x.flatten(1)[:, at].double().cpu()
    means = {MODEL: x.mean(0)} | {name: mean_of(density) for name, density in draws.given.items()}
    means["nearest"] = prior.nearest(condition, draws.seen, 1).flatten(1)[0, at.cpu()].double()
    logs = {name: float(density.log_prob(truth[None])[0]) for name, density in draws.given.items()}
    if draws.log_truth is not None:
        logs[MODEL] = draws.log_truth
    count = int(at.sum())
    return Scores(
        {name: float((mean - truth).square().mean()) for name, mean in means.items()},
        {name: value / count for name, value in logs.items()},
        coverage(x, truth) if prior.densities else None,
        float(x.std(0).mean()),
    )


def mean_of(density: NormalMixture) -> Float[Tensor, " d"]:
    """Return the mean of a mixture."""
    return density.log_weights.exp() @ density.means


def coverage(x: Float[Tensor, "n d"], truth: Float[Tensor, " d"]) -> Float[np.ndarray, " levels"]:
    """Return the fraction of coordinates whose true value is in the central interval of the draws, for each level.

    With n draws, the rank of an exchangeable true value is uniform on 0…n; ties count half.
    """
    below = (x < truth).double().mean(0) + 0.5 * (x == truth).double().mean(0)
    away = (2 * below - 1).abs().numpy()
    return (away[None] <= LEVELS[:, None]).mean(1)


def summarize_scores(found: list[Scores]) -> dict[str, Estimate]:
    """Return the rows of metrics.json, as means over observations with their standard errors."""
    if not found:
        return {}
    rows = {}
    for name in found[0].squares:
        error = root_mean_square([each.squares[name] for each in found], depends_on(name))
        rows[named("rmse", name)] = error.with_meaning(MEANINGS.get(name, ""))
    simple = {name: row.value for name in MEANINGS if (row := rows.get(f"rmse_{name}"))}
    best = min(simple, key=lambda name: simple[name])
    ratio = rows["rmse"].value / max(simple[best], 1e-12)  # type: ignore[operator]
    rows["rmse"] = rows["rmse"].with_meaning(f"{ratio:.3g} times that of the best simple prediction, {best}")
    index = int(np.abs(LEVELS - LEVEL).argmin())
    covered = [each.coverage[index] for each in found if each.coverage is not None]
    if covered:
        rows["coverage_80"] = mean(covered).with_meaning("fraction of true values in the central 80 % of the draws")
    rows["spread"] = mean([each.spread for each in found])
    for name in (MODEL, *(name for name in found[0].logs if name != MODEL)):
        values = [each.logs[name] for each in found if {MODEL, name} <= each.logs.keys()]
        if values:
            rows[named("log_score", name)] = mean(values, depends_on(name), "nats per coordinate")
    return rows


def named(row: str, name: str) -> str:
    """Return the name of a row of the model, or of a simple prediction."""
    return row if name == MODEL else f"{row}_{name}"


def depends_on(name: str) -> IfNotMixed:
    """Return what happens to a score if chains are not mixed: only the model's comes from them."""
    return "caution" if name == MODEL else "kept"


def mean(values: Iterable[float], if_not_mixed: IfNotMixed = "caution", unit: str | None = None) -> Estimate:
    """Return the mean over observations."""
    array = np.array(list(values), dtype=float)
    se = float(array.std(ddof=1) / math.sqrt(len(array))) if len(array) > 1 else None
    return Estimate(float(array.mean()), se=se, unit=unit, if_not_mixed=if_not_mixed)


def root_mean_square(squares: list[float], if_not_mixed: IfNotMixed) -> Estimate:
    """Return the root of the mean over observations, its error by the delta method."""
    found = mean(squares)
    assert isinstance(found.value, float)
    root = math.sqrt(found.value)
    se = found.se / (2 * root) if isinstance(found.se, float) and root else None
    return Estimate(root, se=se, if_not_mixed=if_not_mixed)


def class_rows(draws: list[ConditionalDraws], prior: Prior) -> dict[str, Estimate]:
    """Return how often completed states have the true class, by a classifier of whole training rows.

    Next to it, if all observations have the same known part: how often a classifier of this part finds the true class.
    Both are support vector machines with a Gaussian kernel (scikit-learn's defaults).
    """
    from sklearn.svm import SVC

    true = [each.seen.label for each in draws]
    if prior.labels is None or len(prior.labels) < MIN_LABELED or any(label is None for label in true):
        return {}
    rows, y = prior.rows.flatten(1).numpy(), prior.labels.numpy()
    whole = SVC().fit(rows, y)
    found = [whole.predict(each.x.flatten(1).cpu().numpy()) for each in draws]
    kept = mean(float((one == label).mean()) for one, label in zip(found, true, strict=True))
    result = {"class_kept": kept.with_meaning("fraction of draws with the true class, by a classifier of whole rows")}
    at = common_part(draws)
    if at is None:
        return result
    seen = np.stack([each.seen.y.flatten().cpu().numpy()[at] for each in draws])
    right = SVC().fit(rows[:, at], y).predict(seen) == np.array(true)
    by_part = mean(right.astype(float), "kept").with_meaning("how often a classifier of the known part is right")
    return result | {"class_from_known": by_part}


def common_part(draws: list[ConditionalDraws]) -> Bool[np.ndarray, " d"] | None:
    """Return the known part of flattened states if all observations have the same, otherwise None."""
    known = [each.seen.known for each in draws]
    first = known[0]
    if first is None or not bool(first.any()):
        return None
    same = all(each is not None and torch.equal(each, first) for each in known)
    return first.flatten().cpu().numpy() if same else None
