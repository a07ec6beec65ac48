"""Denoising score matching at one noise level: training without chains."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Batch, Data
from ebm_cli.objective import Objective, Outcome
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Sampler


class DenoisingScoreMatching(Objective):
    """loss = mean ‖x̃ − σ²∇E(x̃)/T − x‖²/(2σ²), x̃ = x + σξ.

    Vincent, 2011 (Neural Computation 23, 1661), eq. 11, times σ². Its optimum is the score of the noised law p
    * N(0, σ²I),
    so it is biased by the noise as a fit to clean rows and not at all as a fit to noised ones. With sigma at
    `null`, σ is the data's own noise and the noised law is the very target of training.

    sigma: σ > 0, in units of x, or null.
    """

    def __init__(self, sigma: float | None, data: Data, sampler: Sampler) -> None:
        super().__init__()
        if sigma is None:
            if data.noise <= 0:
                raise check.InputError("sigma must be given, as the data carry no noise of their own (data.noise=0)")
        else:
            check.positive("sigma", sigma)
        if sampler.temperature == 0:
            raise check.InputError("sigma has no meaning at temperature 0: sampler.temperature must be > 0")
        self.sigma = sigma
        self.noise = data.noise
        self.temperature = sampler.temperature

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        if self.sigma is None and batch.clean is not None:
            σ, x, noised = self.noise, batch.clean, batch.x
        elif self.sigma is None:
            raise check.InputError("sigma must be given: these data have no rows without noise")
        else:
            σ, x = self.sigma, batch.x
            noised = x + σ * normal_like(x, rng)
        loss, e, grad = denoising_loss(energy, noised, x, σ, self.temperature)
        norm = grad.detach().flatten(1).norm(dim=1).mean()
        return Outcome(loss=loss, x_data=batch.x, e_data=e, clean=batch.clean, scalars={"input_grad_norm": norm})


def denoising_loss(
    energy: nn.Module,
    noised: Float[Tensor, "n *event"],
    x: Float[Tensor, "n *event"],
    σ: float,
    T: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, " n"], Float[Tensor, "n *event"]]:
    """mean ‖x̃ − σ²∇E(x̃)/T − x‖²/(2σ²), beside E(x̃) and ∇E(x̃)."""
    noised = noised.detach().requires_grad_(True)
    e = energy(noised)
    (grad,) = torch.autograd.grad(e.sum(), noised, create_graph=True)
    residual = noised - σ**2 * grad / T - x
    return residual.flatten(1).square().sum(1).mean() / (2 * σ**2), e, grad
