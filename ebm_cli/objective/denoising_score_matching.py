"""Denoising score matching, at one noise level or several: training without chains."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Batch, Data
from ebm_cli.energy._noise_levels import check_levels, require_noise_level
from ebm_cli.objective import Objective, Outcome, fisher
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Sampler


class DenoisingScoreMatching(Objective):
    """loss = mean ‖x̃ − σ²∇E(x̃)/T − x‖²/(2σ²), x̃ = x + σξ.

    Vincent, 2011 (Neural Computation 23, 1661), eq. 11, times σ². Its optimum is the score of the noised law p
    * N(0, σ²I),
    so it is biased by the noise as a fit to clean rows and not at all as a fit to noised ones. With sigma at
    `null`, σ is the data's own noise and the noised law is the very target of training.

    With several σ, the mean is over them as well, each an equal share of the rows, and the energy is told which,
    E(x̃, σ) (Song and Ermon, 2019, arXiv 1907.05600, eq. 6, λ(σ) = σ²): wide levels give it a shape where data are rare.
    Their x are rows without noise where the data know them, so that the level σ = data.noise is the data's own law.

    sigma: σ > 0, in units of x, or a list of them, or null. Logs fisher_divergence where the data's density is known,
    at a noise-conditioned energy's own noise_level. Raises InputError for several levels and an energy that is not
    told them.
    """

    levels: Tensor

    def __init__(self, sigma: float | list[float] | None, data: Data, sampler: Sampler) -> None:
        super().__init__()
        if sigma is None:
            if data.noise <= 0:
                raise check.InputError("sigma must be given, as the data carry no noise of their own (data.noise=0)")
        else:
            check_levels(sigma)
        if sampler.temperature == 0:
            raise check.InputError("sigma has no meaning at temperature 0: sampler.temperature must be > 0")
        self.sigma = sigma
        self.register_buffer("levels", torch.tensor(sigma if isinstance(sigma, list) else []), persistent=False)
        self.data = data
        self.noise = data.noise
        self.temperature = sampler.temperature

    @property
    def has_chains(self) -> bool:
        return False

    def suits(self, energy: nn.Module, event: tuple[int, ...]) -> None:  # noqa: ARG002
        if not isinstance(self.sigma, list):
            return
        own = require_noise_level(energy, "objective.sigma with several levels", min(self.sigma))
        if not min(self.sigma) <= own <= max(self.sigma):
            raise check.InputError(
                f"energy.noise_level={own:g} is not among the levels of objective.sigma, which are "
                f"{min(self.sigma):g} to {max(self.sigma):g}"
            )

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        if isinstance(self.sigma, list):
            loss, e, grad = self._several(energy, batch, rng)
        else:
            loss, e, grad = self._one(energy, batch, self.sigma, rng)
        norm = grad.detach().flatten(1).norm(dim=1).mean()
        measures = fisher(energy, batch.x, self.data, self.temperature)
        return Outcome(loss, batch.x, e, clean=batch.clean, scalars={"input_grad_norm": norm}, measures=measures)

    def _one(
        self, energy: nn.Module, batch: Batch, sigma: float | None, rng: torch.Generator
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        if sigma is None and batch.clean is not None:
            σ, x, noised = self.noise, batch.clean, batch.x
        elif sigma is None:
            raise check.InputError("sigma must be given: these data have no rows without noise")
        else:
            σ, x = sigma, batch.x
            noised = x + σ * normal_like(x, rng)
        return denoising_loss(energy, noised, x, σ, self.temperature)

    def _several(
        self, energy: nn.Module, batch: Batch, rng: torch.Generator
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        x = batch.x if batch.clean is None else batch.clean
        n = len(x)
        # From a level of chance on, so that a batch that they do not divide favours none in the long run.
        first = torch.randint(len(self.levels), (), generator=rng, device=x.device)
        σ = self.levels[(first + torch.arange(n, device=x.device)) % len(self.levels)].to(x.dtype)
        noised = x + σ.view(-1, *[1] * (x.dim() - 1)) * normal_like(x, rng)
        return conditioned_loss(energy, noised, x, σ, self.temperature)


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


def conditioned_loss(
    energy: nn.Module,
    noised: Float[Tensor, "n *event"],
    x: Float[Tensor, "n *event"],
    σ: Float[Tensor, " n"],
    T: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, " n"], Float[Tensor, "n *event"]]:
    """The same with a level a row, of which the energy is told."""
    noised = noised.detach().requires_grad_(True)
    e = energy(noised, condition=σ)
    (grad,) = torch.autograd.grad(e.sum(), noised, create_graph=True)
    residual = (noised - x).flatten(1) - σ[:, None] ** 2 * grad.flatten(1) / T
    return (residual.square().sum(1) / (2 * σ**2)).mean(), e, grad
