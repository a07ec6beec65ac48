"""A classifier behind a purifier: chains of the model move each row towards the data before it is classified."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.energy._capabilities import Logits, offers


@dataclass(frozen=True)
class Purified:
    """log of the mean over `draws` chains of softmax f(x_K), x' = x − η∇E(x) + √(2ηT)ξ, K = `steps`, x₀ = x.

    Hill, Mitchell and Zhu, 2021 (arXiv 2005.13525). Gradients go through all steps of the chains. With new noise at
    every call, an attack that follows them maximizes an expectation over the purifier (Athalye, Carlini and Wagner,
    2018, arXiv 1802.00420, section 4.2).
    """

    energy: nn.Module
    steps: int
    step_size: float
    draws: int
    temperature: float
    rng: torch.Generator

    def __call__(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n classes"]:
        energy, through = self.energy, x.requires_grad
        assert offers(energy, Logits)
        chains = x.repeat(self.draws, *(1 for _ in x.shape[1:]))
        for _ in range(self.steps):
            with torch.enable_grad():
                at = chains if through else chains.detach().requires_grad_(True)
                (grad,) = torch.autograd.grad(energy(at).sum(), at, create_graph=through)
            noise = (2 * self.step_size * self.temperature) ** 0.5 * self.noise(at)
            chains = (at if through else at.detach()) - self.step_size * grad + noise
        log_p = energy.logits(chains).log_softmax(1).view(self.draws, len(x), -1)
        return log_p.logsumexp(0) - math.log(self.draws)

    def noise(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n *event"]:
        """Return standard normal noise in the shape of x."""
        return torch.randn(x.shape, generator=self.rng, dtype=x.dtype, device=x.device)
