"""Denoising score matching, at one noise level or several: training without chains."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data, _angles
from ebm_cli.energy import space_of
from ebm_cli.energy._noise_levels import check_levels, require_noise_level
from ebm_cli.energy._score import differentiable_grad, squared_norm
from ebm_cli.objective._score import ScoreLoss, ScoreObjective
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Sampler


class DenoisingScoreMatching(ScoreObjective):
    """loss = mean ‖x̃ − σ²∇E(x̃)/T − x‖²/(2σ²), x̃ = x + σξ.

    Vincent, 2011 (Neural Computation 23, 1661), eq. 11, times σ². Its optimum is the score of the noisy distribution
    p * N(0, σ²I). Therefore the noise biases a fit to clean samples, but not a fit to noisy samples. With sigma = None,
    σ is the noise of the data and the noisy distribution is the training target.

    With several σ, each level gets an equal fraction of the rows and the energy takes the level as input, E(x̃, σ)
    (Song and Ermon, 2019, arXiv 1907.05600, eq. 6, λ(σ) = σ²). High levels shape the energy in regions with few data. x
    are then noise-free samples, if the data provide them. Thus the level σ = data.noise is the data distribution.

    Noise of angles is not turned back into [−π, π) here. For a function with the period, the loss is the same at x̃ and
    at every x̃ + 2πk, and its optimum is the mean of −ξ/σ given x̃ up to full turns: the score of the noisy distribution
    on the circle, a sum over all turns. Turned noise would have another mean.

    sigma: σ in units of x (> 0), a list of levels, or None.

    Logs fisher_divergence if the density of the data is known; for a noise-conditional energy, at its noise_level.
    Raises InputError for several levels with an energy that is not noise-conditional.
    """

    levels: Tensor

    def __init__(self, sigma: float | list[float] | None, data: Data, sampler: Sampler) -> None:
        super().__init__(data, sampler)
        if sigma is not None:
            check_levels(sigma)
        elif data.noise <= 0:
            raise InputError("sigma must be given, because the data have no noise (data.noise=0)")
        self.sigma = sigma
        self.register_buffer("levels", torch.tensor(sigma if isinstance(sigma, list) else []), persistent=False)
        self.noise = data.noise

    def check_energy(self, energy: nn.Module, event: tuple[int, ...]) -> None:  # noqa: ARG002
        if not isinstance(self.sigma, list):
            return
        own = require_noise_level(energy, "objective.sigma with several levels", min(self.sigma))
        if not min(self.sigma) <= own <= max(self.sigma):
            raise InputError(
                f"energy.noise_level={own:g} must be in the range of objective.sigma, {min(self.sigma):g} to "
                f"{max(self.sigma):g}"
            )

    def loss(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> ScoreLoss:
        T, sigma = self.temperature, self.sigma
        if isinstance(sigma, list):
            return self._loss_of_levels(energy, batch, rng)
        if sigma is not None:
            return denoising_loss(energy, batch.x + sigma * normal_like(batch.x, rng), batch.x, sigma, T)
        if batch.clean is None:
            raise InputError("sigma must be given: these data do not provide noise-free samples")
        return denoising_loss(
            energy, unturned(batch.x, batch.clean, self.noise, energy, rng), batch.clean, self.noise, T
        )

    def _loss_of_levels(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> ScoreLoss:
        x = batch.x if batch.clean is None else batch.clean
        # The first level is random. Otherwise low levels would be favored if their number does not divide the batch.
        first = torch.randint(len(self.levels), (), generator=rng, device=x.device)
        σ = self.levels[(first + torch.arange(len(x), device=x.device)) % len(self.levels)].to(x.dtype)
        noisy = x + σ.view(-1, *[1] * (x.dim() - 1)) * normal_like(x, rng)
        noisy, e, grad = differentiable_grad(energy, noisy, condition=σ)
        residual = (noisy - x).flatten(1) - σ[:, None] ** 2 * grad.flatten(1) / self.temperature
        return ScoreLoss((squared_norm(residual) / (2 * σ**2)).mean(), e, grad)


def unturned(
    noisy: Float[Tensor, "n *event"],
    clean: Float[Tensor, "n *event"],
    noise: float,
    energy: nn.Module,
    rng: torch.Generator,
) -> Float[Tensor, "n *event"]:
    """Return noisy samples of data with this noise: the given ones, or new ones of angles, whose turns are unknown."""
    return clean + noise * normal_like(clean, rng) if space_of(energy) == _angles.SPACE else noisy


def denoising_loss(
    energy: nn.Module, noisy: Float[Tensor, "n *event"], x: Float[Tensor, "n *event"], σ: float, T: float
) -> ScoreLoss:
    """Return mean ‖x̃ − σ²∇E(x̃)/T − x‖²/(2σ²), E(x̃) and ∇E(x̃) for noisy samples x̃ of x."""
    noisy, e, grad = differentiable_grad(energy, noisy)
    return ScoreLoss(squared_norm(noisy - σ**2 * grad / T - x).mean() / (2 * σ**2), e, grad)
