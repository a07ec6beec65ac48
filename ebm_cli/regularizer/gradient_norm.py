"""Gradient norm: a penalty on steep energies. It makes them smoother and adds a bias."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.energy import SMOOTH
from ebm_cli.energy._score import differentiable_grad, squared_norm
from ebm_cli.objective import Outcome
from ebm_cli.rng import normal_like

PLACES = ("data", "gaussian", "line")


class GradientNorm:
    """λ/2 · E_q ‖∇E(x)‖², q the data, a fixed N(0, scale²I), or the line between data and chains.

    The line is x = u·x_data + (1 − u)·x_model, u ~ U(0, 1) (Gulrajani et al., 2017, arXiv 1704.00028). The bias is
    known for E = a/2·‖x‖² with data N(0, s²I), q = N(0, σ²I) and maximum likelihood at T = 1. The minimum moves
    from 1/s² to a* = (−s² + √(s⁴ + 8λσ²))/(4λσ²), a wider Gaussian that relaxes more slowly, in time 1/a*.
    The penalty bounds the mean slope where q has mass. It does not bound the Lipschitz constant of E or of ∇E.

    weight: λ, in units of x² over energy (> 0).
    at: q: data, gaussian or line. line needs an objective with chains.
    scale: σ of the Gaussian, in units of x (> 0).
    """

    spaces = SMOOTH

    def __init__(self, weight: float, at: str, scale: float) -> None:
        check.positive("weight", weight)
        check.one_of("at", at, PLACES)
        check.positive("scale", scale)
        self.weight = weight
        self.at = at
        self.scale = scale
        self.needs_chains = at == "line"

    def __call__(self, energy: nn.Module, outcome: Outcome, rng: torch.Generator) -> Float[Tensor, ""]:
        _, _, grad = differentiable_grad(energy, self._draw_points(outcome, rng))
        return 0.5 * self.weight * squared_norm(grad).mean()

    def _draw_points(self, outcome: Outcome, rng: torch.Generator) -> Float[Tensor, "n *event"]:
        """Return the states of q at which this step penalizes the slope."""
        data = outcome.x_data
        if self.at == "data":
            return data
        if self.at == "gaussian":
            return self.scale * normal_like(data, rng)
        if outcome.x_model is None:
            raise InputError(
                "regularizer.gradient_norm.at=line needs an objective with chains from the first step on. Use data or "
                "gaussian"
            )
        n = min(len(data), len(outcome.x_model))
        u = torch.rand(n, *[1] * (data.dim() - 1), generator=rng, dtype=data.dtype, device=data.device)
        return u * data[:n] + (1 - u) * outcome.x_model[:n]
