"""Denoising recovery: maximum likelihood of rows given their noised copies, over noise levels."""

from typing import Any

import torch
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.chain.loop import run_chains
from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.energy._noise_levels import NoiseSchedule, Recovery, check_rising
from ebm_cli.objective import Objective, Outcome
from ebm_cli.objective.contrastive import check_chains
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Sampler, per_chain

BEGIN = ("noised", "data")


class DenoisingRecovery(Objective):
    """loss = (mean E(x_t, ν_t) − mean E(x_t⁻, ν_t))/T, x_t⁻ the ends of chains of p(x_t | x_{t+1} = x_t + δ_t ξ).

    Gao, Song, Poole, Wu and Kingma, 2021 (arXiv 2012.08125), eq. 9 and algorithm 1, without their rescaling of x:
    p(x_t | x_{t+1}) ∝ exp(−E(x_t, ν_t)/T − ‖x_{t+1} − x_t‖²/(2δ_t²)), and the gradient is that of −log p(x_t | x_{t+1})
    when chains follow it. The Gaussian term makes that law narrow, so that short chains do; its optimum is
    E(x, ν_t) = −T log p_t(x) + const all the same, p_t the data's law with noise σ_t, and at ν_0, which is
    what forward(x) is of, the data's own. The smaller δ_t, the easier the chains, and the less rows tell of the masses
    of modes that lie further apart. t goes around 0 … K − 1, an equal share of the rows each.

    The bias is that of the chains: their start for small k, their step for unadjusted samplers. Begun at the data it is
    0 at the optimum for exact kernels, whatever k; begun at x_{t+1}, it is not. The loss itself is no measure of
    progress. Logs acceptance and chain_gradients of all levels; data, model and their energies are of level 0.

    sigma: rising levels σ_1 … σ_K > 0 beyond the data's own noise, and see `NoiseSchedule`. steps: k ≥ 1. begin: noised
    or data. descent: kernel steps ≥ 1 a level when a run is sampled. Raises InputError for an energy that is not told
    levels, or whose own is not below the first, and for batches of fewer rows than levels.
    """

    def __init__(self, sigma: list[float], steps: int, begin: str, descent: int, sampler: Sampler) -> None:
        super().__init__()
        check_rising(sigma)
        check_chains(steps, sampler)
        check.one_of("begin", begin, BEGIN)
        check.count("descent", descent)
        self.sigma = sigma
        self.steps = steps
        self.begin = begin
        self.ladder: NoiseSchedule | None = None
        self.sampler = sampler

    @staticmethod
    def start_of(node: dict[str, Any]) -> dict[str, Any]:
        """Where chains of a run with this objective begin when it is sampled."""
        return {"_target_": "ebm_cli.start.descent.Descent", "sigma": node["sigma"], "steps": node["descent"]}

    def suits(self, energy: nn.Module, event: tuple[int, ...]) -> None:  # noqa: ARG002
        self._ladder(energy)

    def _ladder(self, energy: nn.Module) -> NoiseSchedule:
        """The levels, put together once: an energy's own never changes."""
        if self.ladder is None:
            self.ladder = NoiseSchedule.from_energy(energy, self.sigma, "objective.sigma")
        return self.ladder

    def policy(self, chains: int, steps: int) -> str:  # noqa: ARG002
        """Where chains begin, in words."""
        where = "a training sample" if self.begin == "data" else "a training sample with noise"
        return f"each starts at {where}, at one of {len(self.sigma)} noise levels"

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        ladder, T = self._ladder(energy), self.sampler.temperature
        n, K = len(batch.x), ladder.n_levels
        if n < K:
            raise InputError(f"trainer.batch_size must be >= the {K} levels of objective.sigma, got {n}")
        t = torch.arange(n, device=batch.x.device) % K
        σ, ν, δ, _ = ladder.per_row(t, batch.x)
        x = batch.x + per_chain(σ, batch.x) * normal_like(batch.x, rng)
        noised = x + per_chain(δ, x) * normal_like(x, rng)
        law = ladder.recovery(energy, noised, t, T)
        x_model, scalars = self._ends(law, x if self.begin == "data" else noised, rng)
        e_data, e_model = energy(torch.cat([x, x_model]), condition=torch.cat([ν, ν])).split(n)
        return Outcome(
            loss=(e_data.mean() - e_model.mean()) / T,
            x_data=x[::K],
            e_data=e_data[::K],
            x_model=x_model[::K],
            e_model=e_model[::K],
            clean=None if batch.clean is None else batch.clean[::K],
            scalars=scalars,
        )

    def _ends(self, law: Recovery, x: Tensor, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Where chains end that begin at x, and what is logged of them."""
        chains = run_chains(self.sampler, law, law.coordinates(x), self.steps, rng, thin=None)
        figures = {"acceptance": chains.accept.mean(), "chain_gradients": chains.gradients.mean()}
        return law.states(chains.last.x.detach()), figures
