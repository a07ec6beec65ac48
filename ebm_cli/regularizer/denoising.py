"""Denoising score matching as a regularizer: every sample teaches local shape, while chains set the masses."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Data
from ebm_cli.energy import SMOOTH
from ebm_cli.objective import Outcome
from ebm_cli.objective.denoising_score_matching import denoising_loss, unturned
from ebm_cli.sampler import Sampler


class Denoising:
    """weight · mean ‖x̃ − σ²∇E(x̃)/T − x‖²/(2σ²), x̃ the noisy training samples and σ the noise of the data.

    Vincent, 2011 (Neural Computation 23, 1661). Its optimum, the score of the noisy distribution, is also the optimum
    of maximum likelihood. Therefore it adds no bias; it changes only the speed of training.

    weight: factor of the loss (> 0).
    weight_with_chains: factor in steps in which chains train the energy too (> 0), or None for `weight`. Denoising says
        little about the masses of modes, which only chains teach, and its noise hides their gradient from an optimizer
        that divides by the size of gradients.
    """

    spaces = SMOOTH

    def __init__(self, weight: float, weight_with_chains: float | None, data: Data, sampler: Sampler) -> None:
        check.positive("weight", weight)
        if weight_with_chains is not None:
            check.positive("weight_with_chains", weight_with_chains)
        if data.noise <= 0:
            raise check.InputError(f"weight={weight} needs data with noise, got data.noise={data.noise}")
        check.positive("temperature of the sampler", sampler.temperature)
        self.weight = weight
        self.weight_with_chains = weight if weight_with_chains is None else weight_with_chains
        self.noise = data.noise
        self.temperature = sampler.temperature

    def __call__(self, energy: nn.Module, outcome: Outcome, rng: torch.Generator) -> Float[Tensor, ""]:
        if outcome.clean is None:
            raise check.InputError("regularizer=denoising needs a data set that provides the noise-free samples")
        noisy = unturned(outcome.x_data, outcome.clean, self.noise, energy, rng)
        weight = self.weight if outcome.x_model is None else self.weight_with_chains
        return weight * denoising_loss(energy, noisy, outcome.clean, self.noise, self.temperature).loss
