"""Chains that start at samples of progressively smaller noise levels: sampling of recovery-likelihood models."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.chain.loop import run_chains
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.energy import CONTINUOUS
from ebm_cli.energy._gaussians import fitted_gaussians
from ebm_cli.energy._noise_levels import NoiseSchedule
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Sampler
from ebm_cli.start import InitialStates, Memoryless


class Descent(Memoryless):
    """x_K ~ N(m, C + σ_K²I), then x_t ~ p(x_t | x_{t+1}) ∝ exp(−E(x_t, ν_t)/T − ‖x_{t+1} − x_t‖²/(2δ_t²)) for t < K.

    Gao et al., 2021 (arXiv 2012.08125), algorithm 2; chains start at x_0. m and C are mean and covariance of the
    training samples. The sampler of the run makes `steps` steps for each distribution, from x_{t+1}. Biased, because
    these chains are finite, and because x_K is Gaussian only for σ_K far above the data's standard deviation.

    sigma: increasing noise levels (> 0), defined in `NoiseSchedule`.
    steps: number of steps per level (≥ 1).
    """

    spaces = CONTINUOUS

    def __init__(self, sigma: list[float], steps: int, energy: nn.Module, data: Data | None, sampler: Sampler) -> None:
        check.count("steps", steps)
        if data is None:
            raise InputError(
                "data must be chosen for start=descent: its first states are from a Gaussian fitted to data, data=NAME"
            )
        self.schedule = NoiseSchedule.from_energy(energy, sigma, "sigma")
        self.steps = steps
        self.energy = energy
        self.event = data.event
        self.gaussian = fitted_gaussians("data", 1, data)
        self.sampler = sampler

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> InitialStates:  # noqa: ARG002
        x = self._noisiest(n, rng)
        for level in reversed(range(self.schedule.n_levels)):
            t = torch.full((n,), level, device=x.device)
            energy = self.schedule.recovery(self.energy, x, t, self.sampler.temperature)
            x = energy.states(run_chains(self.sampler, energy, torch.zeros_like(x), self.steps, rng, thin=None).last.x)
        return InitialStates.unaged(x, self.schedule.n_levels * self.steps)

    def policy(self, chains: int, steps: int) -> str:  # noqa: ARG002
        levels = f"{self.schedule.n_levels} noise levels down from σ = {self.schedule.sigma[-1]:g}"
        return f"they pass {levels}, {self.steps} steps per level"

    def _noisiest(self, n: int, rng: torch.Generator) -> Float[Tensor, "n *event"]:
        """Return draws of the Gaussian fitted to training samples, with the last level's noise."""
        x = self.gaussian.draw(n, rng)
        return (x + self.schedule.sigma[-1] * normal_like(x, rng)).view(n, *self.event)
