"""Energy discrepancy: data are compared with twice perturbed data, without chains, gradients by x or log Z."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.data import Batch
from ebm_cli.data._sites import Sites
from ebm_cli.energy import DISCRETE, space_of
from ebm_cli.objective import Objective, Outcome, temperature_of
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Sampler


class EnergyDiscrepancy(Objective):
    """loss = mean log[w/M + (1/M) Σⱼ exp((E(x) − E(x̃ⱼ))/T)], x̃ⱼ = x perturbed twice, j = 1 … M.

    Schröder et al., 2023 (arXiv 2307.06431; for discrete states arXiv 2307.07595). The first
    perturbation of a row is shared by its M samples. For M → ∞ and w = 0 it is E(x)/T − U(y)/T with
    U(y) = −T log Σ_x' q(y|x') exp(−E(x')/T), whose mean is smallest for the density of the data.
    A small perturbation does not see the masses of separated modes, a large one has a large variance; w > 0 bounds the
    loss from below, for a bias of order w/M.

    scale: standard deviation of the Gaussian perturbation of continuous states, in units of x (> 0).
    change_probability: probability that a perturbation changes a discrete site, to any other value (in (0, 1)).
    samples: M (≥ 1).
    stabilizer: w (≥ 0).
    """

    has_chains = False

    def __init__(
        self, scale: float, change_probability: float, samples: int, stabilizer: float, sampler: Sampler
    ) -> None:
        super().__init__()
        check.every(
            lambda: check.positive("scale", scale),
            lambda: check.open_interval("change_probability", change_probability),
            lambda: check.count("samples", samples),
            lambda: check.non_negative("stabilizer", stabilizer),
        )
        self.scale, self.change_probability = scale, change_probability
        self.samples, self.stabilizer = samples, stabilizer
        self.temperature = temperature_of(sampler)

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        x, space = batch.x, space_of(energy)
        once = self.perturbed(x, space, rng)
        twice = self.perturbed(once.repeat_interleave(self.samples, 0), space, rng)
        e_data, e_perturbed = energy(x), energy(twice).view(len(x), self.samples)
        differences = (e_data[:, None] - e_perturbed) / self.temperature
        if self.stabilizer:
            constant = differences.new_full((len(x), 1), math.log(self.stabilizer))
            differences = torch.cat([differences, constant], 1)
        loss = (differences.logsumexp(1) - math.log(self.samples)).mean()
        return Outcome(loss=loss, x_data=x, e_data=e_data, clean=batch.clean)

    def perturbed(self, x: Float[Tensor, "n *event"], space: str, rng: torch.Generator) -> Float[Tensor, "n *event"]:
        """Return the states after one perturbation, whose kernel is symmetric."""
        if space not in DISCRETE:
            return x + self.scale * normal_like(x, rng)
        sites = Sites(space, tuple(x.shape[1:]))
        numbers = sites.numbers(x)
        changes = torch.rand(numbers.shape, generator=rng, device=x.device) < self.change_probability
        return sites.states(sites.with_other_values(numbers, changes, rng), x.dtype)
