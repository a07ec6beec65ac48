"""Fisher divergence: the distance between the scores of data and model, which needs neither samples nor log Z."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import KnownDensity
from ebm_cli.data._repeats import repeated_values
from ebm_cli.density import Baseline, fit_baselines, smooth_fits
from ebm_cli.energy import SMOOTH, frozen, space_of
from ebm_cli.energy._score import (
    density_score,
    differentiable_grad,
    projected_trace,
    score_difference,
    squared_norm,
    trace,
)
from ebm_cli.estimate import Estimate, Result
from ebm_cli.metric import NEEDS_DATA, EvaluationContext, mean_over_rows

MAX_STATES_PER_CALL = 256
NOT_FINITE = "the score is not finite at {}"


class FisherDivergence:
    """fisher_divergence = ½E‖∇log p(x) + ∇E(x)/T‖² over held-out rows x, p the density of the data; 0 is perfect.

    If p is unknown, `fisher_divergence_difference` is that of the model minus that of a Gaussian g fitted to the
    training rows (independent von Mises distributions for angles). It is < 0 if the model is closer to the data.
    Integration by parts (Hyvärinen, 2005, JMLR 6, eq. 4) removes p, with the score s = −∇E/T:

        E[½‖s‖² + tr ∇s − ½‖∇log g‖² − tr ∇²log g].

    The trace is exact in up to `max_dimension` dimensions. In more, it is the mean over random sign vectors
    (Hutchinson, 1990), whose error is part of the standard error over rows. It needs no samples of the model and no
    log Z, but an E with second derivatives. The divergence does not depend on the masses of modes with nothing between
    them.

    max_dimension: maximum number of dimensions for which the trace is exact (≥ 1).
    projections: number of sign vectors per row in more dimensions (≥ 1).
    """

    needs_samples = False
    spaces = SMOOTH

    def __init__(self, max_dimension: int, projections: int) -> None:
        check.every(
            lambda: check.count("max_dimension", max_dimension), lambda: check.count("projections", projections)
        )
        self.max_dimension = max_dimension
        self.projections = projections

    def __call__(self, context: EvaluationContext) -> Result:
        data = context.data
        if data is None or context.held_out is None:
            raise InputError(NEEDS_DATA)
        if context.temperature == 0:
            raise InputError("needs temperature > 0: at 0 the model is a point")
        if isinstance(data, KnownDensity):
            return of_known_density(context, data, context.held_out.x)
        if what := repeated_values(data):
            raise InputError(f"needs data with a density, but {what}. Train with data.noise=0.1")
        context.training()
        name = next(iter(smooth_fits(space_of(context.energy))))
        notes: list[str] = []
        baselines = fit_baselines(data, [name], context.seed, notes.append, context.terminal.stopping)
        if not baselines:
            return Result({}, notes=notes)
        return self.of_difference(context, baselines[0], context.held_out.x)

    def of_difference(self, context: EvaluationContext, fit: Baseline, x: Float[Tensor, "n *event"]) -> Result:
        """Return the divergence of the model minus that of a fitted density."""
        generator = torch.Generator(x.device).manual_seed(0)
        parts = [self.differences(context, fit, part, generator) for part in x.split(MAX_STATES_PER_CALL)]
        found = mean_over_rows(torch.cat(parts).double().cpu().numpy(), None, NOT_FINITE)
        estimate = with_sign_explained(found, fit.name)
        exact = math.prod(context.event) <= self.max_dimension
        how = "exact trace" if exact else f"trace by {self.projections} sign vectors per row"
        note = f"fisher_divergence: {len(x)} {context.held_out_name}; compared with {fit.words}; {how}"
        return Result({"fisher_divergence_difference": estimate}, notes=[note])

    def differences(
        self, context: EvaluationContext, fit: Baseline, x: Float[Tensor, "n *event"], rng: torch.Generator
    ) -> Float[Tensor, " n"]:
        """Return the terms of the difference, one per row."""
        with frozen(context.energy), torch.enable_grad():
            x, _, grad = differentiable_grad(context.energy, x)
            log_g = fit.density.log_prob(x.flatten(1).double().cpu()).sum()
            (of_fit,) = torch.autograd.grad(log_g, x, create_graph=True)
            of_model = -grad / context.temperature
            gap = of_model - of_fit
            if math.prod(context.event) <= self.max_dimension:
                curvature = trace(gap, x, create_graph=False)
            else:
                curvature = projected_trace(gap, x, self.projections, rng)
        return (0.5 * squared_norm(of_model) - 0.5 * squared_norm(of_fit) + curvature).detach()


def of_known_density(context: EvaluationContext, data: KnownDensity, x: Float[Tensor, "n *event"]) -> Result:
    """Return the divergence from a density in closed form, and its size relative to the mean square of the score."""
    values, squares = [], []
    for part in x.split(MAX_STATES_PER_CALL):
        gap = score_difference(context.energy, part, data.log_prob, context.temperature)
        values.append(0.5 * squared_norm(gap))
        squares.append(0.5 * squared_norm(density_score(data.log_prob, part)))
    found, size = (
        mean_over_rows(np.asarray(torch.cat(each).double().cpu()), None, NOT_FINITE) for each in (values, squares)
    )
    if isinstance(found.value, float) and isinstance(size.value, float) and size.value > 0:
        relative = f"{100 * found.value / size.value:.2g} % of the mean square of the data's score"
        found = found.with_meaning(f"the model's score differs from the data's by {relative} (0 % is perfect)")
    note = f"fisher_divergence: {len(x)} {context.held_out_name}; from the data's exact density"
    return Result({"fisher_divergence": found}, notes=[note])


def with_sign_explained(found: Estimate, name: str) -> Estimate:
    """Return the difference with its meaning: which of model and fitted density is closer to the data."""
    if not isinstance(found.value, float):
        return found
    other = f"the best {name} fit"
    se = found.se if isinstance(found.se, float) else math.inf
    words = f"no difference between the distances of the model and of {other} from the data was found"
    if abs(found.value) > 2 * se:
        closer = "closer to the data than" if found.value < 0 else "farther from the data than"
        words = f"the model's score is {closer} that of {other}"
    return found.with_meaning(f"{words} (below 0: the model is closer)")
