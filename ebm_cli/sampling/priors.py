"""Densities fitted to the training rows, given an observation: where paths start, and with what models are compared."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.condition import Condition, Observation
from ebm_cli.condition._measured import Measured
from ebm_cli.data import Data
from ebm_cli.density import gaussian, mixture
from ebm_cli.density.conditional import given_measurement, given_part
from ebm_cli.density.fit_data import MAX_ROWS, make_fit_data
from ebm_cli.density.normals import NormalMixture

# Exponent of the weights of components at the start of a path. The model may give weight to others.
FLATTENING = 0.5
MIN_WEIGHT = 1e-3


@dataclass(frozen=True)
class Prior:
    """Densities of whole states and the training rows.

    densities: by name, the best last; none for discrete states.
    rows: training rows without noise. labels: their classes, if any.
    """

    densities: dict[str, NormalMixture]
    rows: Float[Tensor, "n *event"]
    labels: Int[Tensor, " n"] | None

    def given(self, condition: Condition, seen: Observation) -> dict[str, NormalMixture]:
        """Return the densities of the coordinates that are drawn, given an observation; none if there is no formula."""
        return {
            name: found
            for name, density in self.densities.items()
            if (found := conditional(density, condition, seen, tuple(self.rows.shape[1:]))) is not None
        }

    def nearest(self, condition: Condition, seen: Observation, count: int) -> Float[Tensor, "k *event"]:
        """Return the training rows of which the observation would differ the least from this one."""
        y = seen.y.to(self.rows)
        if seen.known is not None:
            known = seen.known.to(self.rows.device)
            away = (self.rows - torch.where(known, y, 0.0)).mul(known)
        else:
            assert isinstance(condition, Measured)
            away = condition(self.rows) - y
        return self.rows[away.flatten(1).square().sum(1).argsort()[:count]]


def fit_prior(data: Data, seed: int, discrete: bool) -> Prior:
    """Fit a Gaussian and a mixture of Gaussians to the training rows; to discrete states nothing.

    Above 100 coordinates only the Gaussian.
    """
    batch = data.split("train")
    rows = (batch.x if batch.clean is None else batch.clean)[:MAX_ROWS].detach().cpu()
    labels = None if batch.y is None else batch.y[:MAX_ROWS].cpu()
    if discrete:
        return Prior({}, rows, labels)
    fit_data = make_fit_data(data, seed)
    found = {"gaussian": gaussian.fit(fit_data)}
    if fit_data.size <= mixture.MAX_COORDINATES:
        best = mixture.fit(fit_data)
        assert isinstance(best, NormalMixture)
        found["mixture"] = best
    return Prior(found, rows, labels)


def conditional(
    density: NormalMixture, condition: Condition, seen: Observation, event: tuple[int, ...]
) -> NormalMixture | None:
    """Return a density given an observation in closed form; None if the observation is not linear."""
    y = seen.y.flatten().double().cpu()
    if seen.known is not None:
        return given_part(density, seen.known.flatten().cpu(), y)
    if not isinstance(condition, Measured) or not condition.is_linear:
        return None
    d = density.means.shape[1]
    with torch.no_grad():
        at_zero = condition(torch.zeros(1, *event, dtype=torch.float64)).flatten()
        columns = condition(torch.eye(d, dtype=torch.float64).view(d, *event)).flatten(1) - at_zero
    return given_measurement(density, columns.T, at_zero, condition.sigma, y)


def flattened(density: NormalMixture) -> NormalMixture:
    """Return a mixture whose weights differ less, their square roots, without components of next to no weight."""
    log_weights = (FLATTENING * density.log_weights).log_softmax(0)
    kept = log_weights.exp() > MIN_WEIGHT
    return NormalMixture(density.words, log_weights[kept].log_softmax(0), density.means[kept], density.roots[kept])
