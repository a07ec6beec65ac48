"""Modern Hopfield network: a continuous memory whose update is attention."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.energy._stored_patterns import stored_patterns


class ModernHopfield(nn.Module):
    """E(x) = −β⁻¹ log Σ_μ exp(β ξ_μᵀx) + ½‖x‖², the memory of Ramsauer et al., 2021 (arXiv 2008.02217, equation 5).

    Its update x ← x − ∇E(x) = Ξᵀ softmax(βΞx) is attention with the stored patterns Ξ as keys and values, and it never
    raises E. Up to a constant, exp(−E/T) at T = 1/β is a mixture of Gaussians N(ξ_μ, I/β) with weights exp(½β‖ξ_μ‖²).

    beta: β, the inverse width of a pattern's basin (> 0).
    data: its training rows are the patterns.
    event: shape of one state; that of the rows by default.
    """

    def __init__(self, beta: float, event: tuple[int, ...] | None, data: Data | None) -> None:
        super().__init__()
        check.positive("beta", beta)
        self.beta = beta
        patterns = stored_patterns(data, event)
        self.event = tuple(patterns.shape[1:])
        self.patterns = nn.Parameter(patterns.flatten(1).to(torch.get_default_dtype()))

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        v = x.flatten(1)
        return 0.5 * v.square().sum(1) - (self.beta * v @ self.patterns.T).logsumexp(1) / self.beta

    def energy_and_grad(self, x: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        v = x.flatten(1)
        overlaps = self.beta * v @ self.patterns.T
        e = 0.5 * v.square().sum(1) - overlaps.logsumexp(1) / self.beta
        return e, (v - overlaps.softmax(1) @ self.patterns).view(x.shape)

    def retrieve(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        """Return the states after one update, a step of gradient descent of length 1."""
        return x - self.energy_and_grad(x)[1]

    def log_z(self, temperature: float) -> float:
        return float(self.log_partition(temperature).detach())

    def log_partition(self, temperature: float) -> Float[Tensor, ""]:
        """Return log Z at T = 1/β. Raises ValueError at other temperatures."""
        if not math.isclose(temperature * self.beta, 1.0, rel_tol=1e-9):
            raise ValueError(f"it is known at temperature 1/beta = {1 / self.beta:g}")
        patterns = self.patterns.double()
        size = patterns.shape[1]
        return (0.5 * self.beta * patterns.square().sum(1)).logsumexp(0) + 0.5 * size * math.log(
            2 * math.pi / self.beta
        )
