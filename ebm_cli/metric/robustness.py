"""Robustness: accuracy of a classifier energy on rows that an attacker may move within a small ball."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import is_image
from ebm_cli.energy import CONTINUOUS, frozen
from ebm_cli.estimate import Estimate, Picture, Result
from ebm_cli.metric import EvaluationContext, binomial_se, shuffled
from ebm_cli.metric._attacks import Ball, Classifier, Norm, decisions_only, projected_gradients
from ebm_cli.metric._classes import labeled_rows, with_classes
from ebm_cli.metric._purifier import Purified
from ebm_cli.metric._surrogate import train_surrogate

TABLE = "robustness.csv"
GRADIENTS, TRANSFER, DECISIONS, ALL, PURIFIED = "gradients", "transfer", "decisions", "all", "purified"
SYMBOLS = {"linf": "L∞", "l2": "L2"}
# Gradients are masked if other attacks break this fraction of the rows that gradients leave right, and two rows more.
MASKED_FRACTION, MASKED_ROWS = 0.01, 2
SEED = 0
# The rows that each attack leaves right, by norm, radius and attack.
Outcomes = dict[tuple[Norm, float, str], Bool[np.ndarray, " n"]]


@dataclass(frozen=True)
class Target:
    """What is attacked.

    x, y: rows without noise, and their labels.
    classify: the model. surrogate: a classifier trained here; None without training rows.
    pool: rows from which the search by decisions starts.
    """

    classify: Classifier
    surrogate: Classifier | None
    x: Float[Tensor, "n *event"]
    y: Int[Tensor, " n"]
    pool: Float[Tensor, "m *event"]
    box: tuple[float, float] | None
    rng: torch.Generator


class Robustness:
    """robust_accuracy = fraction of rows with argmax f(x + δ) = label for every δ that was tried, ‖δ‖ ≤ radius.

    It is an upper bound of the accuracy under the worst δ: a better attack could find more. Attacks are projected
    gradients (`projected_gradients`: margin loss, restarts with targets, step size 2.5·radius/steps), their points on a
    classifier trained here (transfer), and a search by decisions only (`decisions_only`). The last two need no gradient
    of the model. If they break rows that gradients leave right, the gradients are masked and the row is a caution.

    Rows are held-out rows without the data's noise, up to max_rows; those of pictures stay in [−1, 1]. A row that is
    wrong without an attack counts as broken. `robust_accuracy` is that of the largest L∞ radius, or L2 radius without
    any; `robust_accuracy_NORM_RADIUS` that of each ball. Standard errors are binomial.

    With `purify`, Langevin chains of the energy move each row before it is classified (`Purified`), and projected
    gradients attack the whole, through all steps and with new noise at every step; the others do not attack it.

    linf, l2: radii in the model's units (> 0).
    steps: gradient steps per path (≥ 1).
    restarts: paths per row and ball (≥ 1).
    queries: decisions per row and ball (≥ 0), 0 for no search.
    purify: Langevin steps (≥ 0), 0 for none.
    purify_step_size: their η (> 0).
    purify_draws: chains per row (≥ 1).
    max_rows: maximum number of rows (≥ 20).
    """

    needs_samples = False
    spaces: ClassVar[frozenset[str]] = CONTINUOUS

    def __init__(
        self,
        linf: list[float],
        l2: list[float],
        steps: int,
        restarts: int,
        queries: int,
        purify: int,
        purify_step_size: float,
        purify_draws: int,
        max_rows: int,
    ) -> None:
        radii = [("linf", each) for each in linf] + [("l2", each) for each in l2]
        check.every(
            *(partial(check.positive, name, radius) for name, radius in radii),
            partial(check.count, "steps", steps),
            partial(check.count, "restarts", restarts),
            partial(check.count, "queries", queries, minimum=0),
            partial(check.count, "purify", purify, minimum=0),
            partial(check.positive, "purify_step_size", purify_step_size),
            partial(check.count, "purify_draws", purify_draws),
            partial(check.count, "max_rows", max_rows, minimum=20),
        )
        if not radii:
            raise InputError("linf or l2 must have at least one radius, got none")
        self.radii: dict[Norm, list[float]] = {"linf": sorted(linf), "l2": sorted(l2)}
        self.steps, self.restarts, self.queries, self.max_rows = steps, restarts, queries, max_rows
        self.purify, self.purify_step_size, self.purify_draws = purify, purify_step_size, purify_draws

    def __call__(self, context: EvaluationContext) -> Result:
        energy = with_classes(context.energy)
        target = self._target(context, energy.logits)
        with frozen(context.energy):
            clean = is_right(target.classify, target.x, target.y)
            right: Outcomes = {}
            for norm, radii in self.radii.items():
                for radius in radii:
                    found = self._attack(target, Ball(norm, radius, target.box), clean)
                    right |= {(norm, radius, attack): rows for attack, rows in found.items()}
            purified = self._purified(context, target, right) if self.purify else {}
        estimates = estimates_of(clean, right, self.radii) | purified
        notes = [describe(target, self.steps, self.restarts, self.queries)]
        table = table_of(right)
        return Result(estimates, (table, float(clean.mean()), len(clean)), picture, notes, {TABLE: table})

    def _target(self, context: EvaluationContext, classify: Classifier) -> Target:
        """Return the model with the rows to attack."""
        noisy, labels = labeled_rows(context)
        held_out = context.held_out
        assert held_out is not None
        x = shuffled(noisy if held_out.clean is None else held_out.clean, self.max_rows)
        y = shuffled(torch.as_tensor(labels, device=x.device), self.max_rows)
        rng, surrogate, pool = torch.Generator(x.device).manual_seed(SEED), None, x
        train = context.train
        if train is not None and train.y is not None:
            pool = train.x if train.clean is None else train.clean
            surrogate = train_surrogate(train.x, train.y, int(classify(x[:1]).shape[1]), rng)
        box = (-1.0, 1.0) if is_image(context.event) else None
        return Target(classify, surrogate, x, y, pool, box, rng)

    def _attack(self, target: Target, ball: Ball, clean: Bool[np.ndarray, " n"]) -> dict[str, Bool[np.ndarray, " n"]]:
        """Return the rows that each attack leaves right, and those that all leave right."""
        rows = torch.as_tensor(np.flatnonzero(clean), device=target.x.device)
        x, y = target.x[rows], target.y[rows]

        def still_right(points: Tensor) -> Bool[np.ndarray, " n"]:
            left = np.zeros_like(clean)
            within = ball.length(points - x) <= ball.radius * (1 + 1e-5)
            stays = is_right(target.classify, points, y) | ~within.cpu().numpy()
            left[np.flatnonzero(clean)] = stays
            return left

        gradients = partial(projected_gradients, x0=x, y=y, ball=ball, steps=self.steps, rng=target.rng)
        found = {GRADIENTS: still_right(gradients(target.classify, restarts=self.restarts))}
        if target.surrogate is not None:
            found[TRANSFER] = still_right(gradients(target.surrogate, restarts=1))
        if self.queries and len(x):
            found[DECISIONS] = still_right(
                decisions_only(target.classify, x, y, ball, self.queries, target.pool, target.rng)
            )
        return found | {ALL: np.logical_and.reduce(list(found.values()))}

    def _purified(self, context: EvaluationContext, target: Target, right: Outcomes) -> dict[str, Estimate]:
        """Attack the purified classifier, add its outcomes to `right`, and return its rows."""
        T, (η, K) = context.temperature, (self.purify_step_size, self.purify)
        classify = Purified(context.energy, K, η, self.purify_draws, T, target.rng)
        rows = {"clean_accuracy_purified": fraction(is_right(classify, target.x, target.y))}
        for norm, radii in self.radii.items():
            for radius in radii:
                ball = Ball(norm, radius, target.box)
                points = projected_gradients(classify, target.x, target.y, ball, self.steps, self.restarts, target.rng)
                right[norm, radius, PURIFIED] = is_right(classify, points, target.y)
                rows[f"{name_of(norm, radius)}_purified"] = fraction(right[norm, radius, PURIFIED])
        return rows


def is_right(classify: Classifier, x: Float[Tensor, "n *event"], y: Int[Tensor, " n"]) -> Bool[np.ndarray, " n"]:
    """Return for each row whether its class is the label."""
    with torch.no_grad():
        return (classify(x).argmax(1) == y).cpu().numpy()


def name_of(norm: Norm, radius: float) -> str:
    """Return the name of the accuracy within a ball."""
    return f"robust_accuracy_{norm}_{radius:g}"


def fraction(right: Bool[np.ndarray, " n"]) -> Estimate:
    """Return the fraction of rows that are right."""
    return Estimate(float(right.mean()), se=binomial_se(float(right.sum()), len(right)))


def estimates_of(clean: Bool[np.ndarray, " n"], right: Outcomes, radii: dict[Norm, list[float]]) -> dict[str, Estimate]:
    """Return the accuracy without an attack and within each ball; robust_accuracy is that of the main ball."""
    rows = {"clean_accuracy": fraction(clean)}
    for norm, each in radii.items():
        for radius in each:
            row = fraction(right[norm, radius, ALL])
            meaning = f"{100 * right[norm, radius, ALL].mean():.0f} % of rows keep their class if moved by up to "
            reasons = masking(right, norm, radius)
            rows[name_of(norm, radius)] = row.with_meaning(f"{meaning}{radius:g} in {SYMBOLS[norm]}").with_caution(
                reasons
            )
    main: Norm = "linf" if radii["linf"] else "l2"
    return {"robust_accuracy": rows[name_of(main, max(radii[main]))]} | rows


def masking(right: Outcomes, norm: Norm, radius: float) -> list[str]:
    """Return the attacks without the model's gradient that break rows which its gradients leave right."""
    left = right[norm, radius, GRADIENTS]
    reasons = []
    for attack in (TRANSFER, DECISIONS):
        if (norm, radius, attack) not in right:
            continue
        broken = int((left & ~right[norm, radius, attack]).sum())
        if broken > MASKED_ROWS + MASKED_FRACTION * len(left):
            reasons.append(
                f"gradients are masked: {broken} of {len(left)} rows that projected gradients leave right are broken "
                f"by the attack {attack}. Increase metric.robustness.steps and restarts"
            )
    return reasons


def describe(target: Target, steps: int, restarts: int, queries: int) -> str:
    """Return what was attacked and how."""
    rows = f"{len(target.x)} held-out rows without noise" + ("" if target.box is None else ", pixels kept in [−1, 1]")
    others = [] if target.surrogate is None else ["a transfer attack"]
    others += [f"{queries} decisions"] if queries else []
    return f"robustness: {rows}; per ball {', '.join([f'{restarts} paths of {steps} gradient steps', *others])}"


def table_of(right: Outcomes) -> dict[str, list[Any]]:
    """Return the accuracy under each attack, one line per ball and attack."""
    rows = [fraction(each) for each in right.values()]
    norms, radii, attacks = zip(*right, strict=True)
    columns: dict[str, list[Any]] = {"norm": list(norms), "radius": list(radii), "attack": list(attacks)}
    return columns | {"accuracy": [row.value for row in rows], "se": [row.se for row in rows]}


def picture(result: Result) -> Picture:
    """Draw accuracy against radius for every attack."""
    from ebm_cli.metric._robustness_figure import draw

    return draw(*result.arrays)
