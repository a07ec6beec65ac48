"""Denoising recovery: maximum likelihood of samples given noisy copies of them, over several noise levels."""

from typing import Any

import torch
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.chain.loop import run_chains
from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.energy import CONTINUOUS
from ebm_cli.energy._noise_levels import NoiseSchedule, Recovery, check_rising
from ebm_cli.objective import Objective, Outcome
from ebm_cli.objective.contrastive import check_chains
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Sampler, per_chain

CHAIN_INITS = ("noised", "data")


class DenoisingRecovery(Objective):
    """loss = (mean E(x_t, ν_t) − mean E(x_t⁻, ν_t))/T, x_t⁻ the final states of chains of p(x_t | x_{t+1}).

    Gao, Song, Poole, Wu and Kingma, 2021 (arXiv 2012.08125), eq. 9 and algorithm 1, without their rescaling of x.
    x_{t+1} = x_t + δ_t ξ, so p(x_t | x_{t+1}) ∝ exp(−E(x_t, ν_t)/T − ‖x_{t+1} − x_t‖²/(2δ_t²)). If the chains follow
    this distribution, the gradient is the gradient of −log p(x_t | x_{t+1}). The Gaussian term makes the distribution
    narrow. Therefore short chains suffice. The optimum is still E(x, ν_t) = −T log p_t(x) + const, with p_t the data
    distribution with noise σ_t; at ν_0, the level of forward(x), it is the data distribution. A smaller δ_t makes the
    chains easier, but the samples then determine the masses of distant modes less well. t cycles through 0 … K − 1, for
    equal fractions of the rows.

    The bias comes from the chains: from their start for small k, and from the step size for unadjusted samplers. At the
    optimum, for exact kernels and any k, it is 0 if chains start at the data, and not 0 if they start at x_{t+1}. The
    loss does not measure progress. Logs acceptance and chain_gradients over all levels. Data, model and their energies
    are of level 0.

    sigma: increasing levels σ_1 … σ_K beyond the noise of the data (> 0); defined in `NoiseSchedule`.
    steps: kernel steps k per training step (≥ 1).
    chain_init: initial states, noised (x_{t+1}) or data (x_t).
    sampling_steps: kernel steps per level when a run is sampled (≥ 1).

    Raises InputError if the energy is not noise-conditional or its noise_level is not below sigma[0], and for batches
    with fewer rows than levels.
    """

    spaces = CONTINUOUS

    def __init__(self, sigma: list[float], steps: int, chain_init: str, sampling_steps: int, sampler: Sampler) -> None:
        super().__init__()
        check_rising(sigma)
        check_chains(steps, sampler)
        check.one_of("chain_init", chain_init, CHAIN_INITS)
        check.count("sampling_steps", sampling_steps)
        self.sigma, self.steps, self.chain_init, self.sampler = sigma, steps, chain_init, sampler
        self.ladder: NoiseSchedule | None = None

    @staticmethod
    def start_of(node: dict[str, Any]) -> dict[str, Any]:
        """Return the start of chains that sample a run of this objective."""
        return {"_target_": "ebm_cli.start.descent.Descent", "sigma": node["sigma"], "steps": node["sampling_steps"]}

    def check_energy(self, energy: nn.Module, event: tuple[int, ...]) -> None:  # noqa: ARG002
        self._ladder(energy)

    def _ladder(self, energy: nn.Module) -> NoiseSchedule:
        """Return the levels. They are built once, because the noise_level of an energy never changes."""
        if self.ladder is None:
            self.ladder = NoiseSchedule.from_energy(energy, self.sigma, "objective.sigma")
        return self.ladder

    def policy(self, chains: int, steps: int) -> str:  # noqa: ARG002
        """Describe the starting points of the chains."""
        where = "a training sample" if self.chain_init == "data" else "a training sample with noise"
        return f"each starts at {where}, at one of {len(self.sigma)} noise levels"

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        ladder, T = self._ladder(energy), self.sampler.temperature
        n, K = len(batch.x), ladder.n_levels
        if n < K:
            raise InputError(f"trainer.batch_size must be >= the {K} levels of objective.sigma, got {n}")
        t = torch.arange(n, device=batch.x.device) % K
        σ, ν, δ, _ = ladder.per_row(t, batch.x)
        x = batch.x + per_chain(σ, batch.x) * normal_like(batch.x, rng)
        noisy = x + per_chain(δ, x) * normal_like(x, rng)
        conditional = ladder.recovery(energy, noisy, t, T)
        x_model, scalars = self._run_chains(conditional, x if self.chain_init == "data" else noisy, rng)
        e_data, e_model = energy(torch.cat([x, x_model]), condition=torch.cat([ν, ν])).split(n)
        loss = (e_data.mean() - e_model.mean()) / T
        clean = None if batch.clean is None else batch.clean[::K]
        return Outcome(loss, x[::K], e_data[::K], x_model[::K], e_model[::K], clean, scalars)

    def _run_chains(self, conditional: Recovery, x: Tensor, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the final states of chains that start at x, and the scalars to log."""
        chains = run_chains(self.sampler, conditional, conditional.coordinates(x), self.steps, rng, thin=None)
        scalars = {"acceptance": chains.accept.mean(), "chain_gradients": chains.gradients.mean()}
        return conditional.states(chains.last.x.detach()), scalars
