"""Mixture of trained runs: states that are likely under any of them."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.energy._composition import TrainedComponent, common_event, common_space, temperatures_of, weights_of
from ebm_cli.estimate import Estimate


class Mixture(nn.Module):
    """E(x) = −log Σᵢ wᵢ exp(−Eᵢ(x)/Tᵢ)/Zᵢ. At T = 1, p = Σᵢ wᵢ pᵢ with pᵢ = exp(−Eᵢ/Tᵢ)/Zᵢ is normalized.

    The weights have no meaning without Zᵢ. Therefore log Zᵢ is computed once, at construction: in closed form if it is
    known, by quadrature in up to three dimensions, otherwise as a bracket. An error of δ nats in log Zᵢ scales the odds
    of part i by e^{−δ}. Raises InputError if log Zᵢ is refused or only one bound is known. Du, Li and Mordatch, 2020
    (arXiv 2004.06030), eq. 5, omit the Zᵢ; `unnormalised` does the same.

    runs: two or more runs of one event shape.
    weights: wᵢ per run (> 0), scaled to sum to 1, or None for equal weights.
    temperatures: Tᵢ per run (> 0), or None for the temperatures of the training.
    unnormalised: True for log Zᵢ = 0. The weights are then proportional to the unknown wᵢZᵢ.
    budget: maximum number of gradients for each log Zᵢ (≥ 1).
    target: width of the bracket of log Zᵢ, in nats, at which to stop (> 0).
    """

    def __init__(
        self,
        runs: list[TrainedComponent],
        weights: list[float] | None,
        temperatures: list[float] | None,
        unnormalised: bool,
        budget: int,
        target: float,
    ) -> None:
        super().__init__()
        check.count("budget", budget)
        check.positive("target", target)
        self.event, self.space = common_event(runs), common_space(runs)
        weights, self.temperatures = weights_of(runs, weights), temperatures_of(runs, temperatures)
        self.parts = nn.ModuleList(part.energy for part in runs)
        log_weights = [math.log(w / sum(weights)) for w in weights]
        if unnormalised:
            self.log_scales = log_weights
            self.notes = [
                "mixture: unnormalized, so the fraction of each run is proportional to its weight times its unknown Z"
            ]
            return
        found = [
            log_z_with_description(part, part.log_z(T, budget, target))
            for part, T in zip(runs, self.temperatures, strict=True)
        ]
        self.log_scales = [log_w - log_z for log_w, (log_z, _) in zip(log_weights, found, strict=True)]
        self.notes = [
            f"mixture: {math.exp(log_w):.3g} of {part.name} at T = {T:g}, log Z {how}"
            for part, T, log_w, (_, how) in zip(runs, self.temperatures, log_weights, found, strict=True)
        ]

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        parts = zip(self.log_scales, self.temperatures, self.parts, strict=True)
        return -torch.stack([log_scale - part(x) / T for log_scale, T, part in parts]).logsumexp(0)


def log_z_with_description(part: TrainedComponent, estimate: Estimate) -> tuple[float, str]:
    """Return log Z in nats and a description; raise InputError if it is refused or only one bound is available."""
    if not isinstance(estimate.value, float):
        problem = "it is refused"
    elif estimate.lower is None or estimate.upper is None:
        problem = "only one bound is available"
    else:
        bounds = f"between {estimate.lower:.6g} and {estimate.upper:.6g}"
        return estimate.value, f"{estimate.value:.6g} nats, {bounds}, {estimate.verdict}: {estimate.reason}"
    raise InputError(
        f"runs need log Z each, but for {part.name} {problem} ({estimate.reason}). To mix without normalizing, set "
        "energy.unnormalised=true"
    )
