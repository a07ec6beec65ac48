"""Mixture of trained runs: states that one of them or another finds likely."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.energy._composition import Part, common_event, temperatures_of, weights_of
from ebm_cli.estimate import Estimate


class Mixture(nn.Module):
    """E(x) = −log Σᵢ wᵢ exp(−Eᵢ(x)/Tᵢ)/Zᵢ, so that at T = 1 p = Σᵢ wᵢ pᵢ, pᵢ = exp(−Eᵢ/Tᵢ)/Zᵢ, is normalised.

    An energy says nothing about its own Zᵢ, and weights mean nothing without: log Zᵢ is found once, at construction, by
    closed form where the part has one, by quadrature in up to three dimensions, else between the ends of a bracket.
    An error of δ nats in log Zᵢ scales the odds of part i by e^{−δ}. Refused where log Zᵢ is, or where its bracket
    has one end alone. Du, Li and Mordatch, 2020 (arXiv 2004.06030), eq. 5, leave the Zᵢ out: that is unnormalised.

    runs: two or more, of one event shape. weights: shares wᵢ > 0, one a run, scaled to sum to 1; None for equal ones.
    temperatures: Tᵢ > 0, one a run; None for those at which the runs were trained. unnormalised: log Zᵢ = 0, so that
    the shares are wᵢZᵢ, unknown. budget: gradients ≥ 1 for each log Zᵢ. target: width of its bracket in nats > 0 at
    which to stop.
    """

    def __init__(
        self,
        runs: list[Part],
        weights: list[float] | None,
        temperatures: list[float] | None,
        unnormalised: bool,
        budget: int,
        target: float,
    ) -> None:
        super().__init__()
        check.count("budget", budget)
        check.positive("target", target)
        self.event = common_event(runs)
        shares, self.temperatures = weights_of(runs, weights), temperatures_of(runs, temperatures)
        self.parts = nn.ModuleList(part.energy for part in runs)
        log_shares = [math.log(w / sum(shares)) for w in shares]
        if unnormalised:
            self.log_scales = log_shares
            self.notes = ["mixture: unnormalised, so that a run's share is its weight times its Z, which is not known"]
            return
        found = [
            two_sided(part, part.log_z(T, budget, target)) for part, T in zip(runs, self.temperatures, strict=True)
        ]
        self.log_scales = [log_w - log_z for log_w, (log_z, _) in zip(log_shares, found, strict=True)]
        self.notes = [
            f"mixture: {math.exp(log_w):.3g} of {part.name} at T = {T:g}, log Z {how}"
            for part, T, log_w, (_, how) in zip(runs, self.temperatures, log_shares, found, strict=True)
        ]

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        parts = zip(self.log_scales, self.temperatures, self.parts, strict=True)
        return -torch.stack([log_scale - part(x) / T for log_scale, T, part in parts]).logsumexp(0)


def two_sided(part: Part, estimate: Estimate) -> tuple[float, str]:
    """log Z in nats and how well it is known; InputError where it is refused or its bracket lacks an end."""
    if not isinstance(estimate.value, float):
        lacks = "no value"
    elif estimate.lower is None or estimate.upper is None:
        lacks = "one end alone"
    else:
        ends = f"between {estimate.lower:.6g} and {estimate.upper:.6g}"
        return estimate.value, f"{estimate.value:.6g} nats, {ends}, {estimate.verdict}: {estimate.reason}"
    raise InputError(
        f"runs must have a known log Z each, that of {part.name} has {lacks} ({estimate.reason}): unnormalised=true "
        "does without"
    )
