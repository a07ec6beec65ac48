"""Chains begin where a descent through noise levels ends: how a model of recovery likelihood is sampled."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.chain.loop import run_chains
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.energy._levels import Ladder
from ebm_cli.energy._network import fitted_gaussians
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Sampler
from ebm_cli.start import Begun


class Descent:
    """x_K ~ N(m, C + σ_K²I), then x_t ~ p(x_t | x_{t+1}) ∝ exp(−E(x_t, ν_t)/T − ‖x_{t+1} − x_t‖²/(2δ_t²)) for t < K.

    Gao et al., 2021 (arXiv 2012.08125), algorithm 2; x_0 is where chains begin. m, C: of the training rows. Each law is
    followed by `steps` kernel steps of the run's sampler from x_{t+1}. Biased by what chains of that length leave, and
    by x_K, whose law is Gaussian only in the limit of σ_K far beyond the data's spread.

    sigma: rising levels > 0, and see `Ladder`. steps: ≥ 1 a level. Raises InputError for an energy that is not told
    levels.
    """

    def __init__(self, sigma: list[float], steps: int, energy: nn.Module, data: Data | None, sampler: Sampler) -> None:
        check.count("steps", steps)
        if data is None:
            raise InputError("data must be chosen for a descent, whose noisiest rows are told by them: data=NAME")
        self.ladder = Ladder.of(energy, sigma, "sigma")
        self.steps = steps
        self.energy = energy
        self.event = data.event
        self.gaussian = fitted_gaussians("data", 1, data)
        self.sampler = sampler

    def draw(self, n: int, batch: Batch | None, rng: torch.Generator) -> Begun:  # noqa: ARG002
        x = self._noisiest(n, rng)
        for level in reversed(range(self.ladder.rungs)):
            t = torch.full((n,), level, device=x.device)
            law = self.ladder.recovery(self.energy, x, t, self.sampler.temperature)
            x = law.out(run_chains(self.sampler, law, torch.zeros_like(x), self.steps, rng, thin=None).last.x)
        return Begun(x, torch.full((n,), self.ladder.rungs * self.steps, device=x.device), None)

    def keep(self, begun: Begun, x: Float[Tensor, "n *event"], steps: int) -> None:
        """Nothing is kept."""

    def policy(self, chains: int, steps: int) -> str:  # noqa: ARG002
        levels = f"{self.ladder.rungs} noise levels down from σ = {self.ladder.sigma[-1]:g}"
        return f"they pass {levels}, {self.steps} steps per level"

    def _noisiest(self, n: int, rng: torch.Generator) -> Float[Tensor, "n *event"]:
        """Rows of the Gaussian fitted to the training rows, with the last level's noise."""
        x = self.gaussian.draw(n, rng)
        return (x + self.ladder.sigma[-1] * normal_like(x, rng)).view(n, *self.event)
