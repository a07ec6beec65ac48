"""Contrastive training: maximum likelihood with the negative phase from short chains."""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.chain.loop import run_chains
from ebm_cli.data import Batch, _angles
from ebm_cli.energy import evaluation_mode, space_of
from ebm_cli.objective import Objective, Outcome, temperature_of
from ebm_cli.objective._training_replicas import TrainingReplicas
from ebm_cli.path._drawn_path import DrawnPath
from ebm_cli.sampler import Sampler
from ebm_cli.sampler.tempering import Tempering
from ebm_cli.start import KeepsReplicas, Start


class ChainObjective(Objective):
    """Base of the objectives that run chains of k steps in every training step.

    steps: kernel steps k per training step (≥ 1).
    delay_steps: initial training steps in which chains do not train the model (≥ 0).
    """

    def __init__(self, steps: int, delay_steps: int, sampler: Sampler, start: Start, engine: str) -> None:
        super().__init__()
        check_chains(steps, sampler)
        check.count("delay_steps", delay_steps, minimum=0)
        self.steps, self.delay_steps = steps, delay_steps
        self.sampler, self.start, self.engine = sampler, start, engine
        self.replicas = TrainingReplicas() if isinstance(sampler, Tempering) else None

    def negative_phase(
        self, energy: nn.Module, batch: Batch, n: int, rng: torch.Generator
    ) -> tuple[Float[Tensor, "n *event"], dict[str, Tensor]]:
        """Return the final states of n chains, and the scalars to log."""
        initial = self.start.draw(n, batch, rng)
        sampler, resumed = self.sampler, None
        if self.replicas is not None:
            sampler = self.replicas.sampler(cast(Tempering, sampler), energy, rng)
            resumed = self.replicas.resume(initial)
        chains = run_chains(sampler, energy, initial.x, self.steps, rng, thin=None, engine=self.engine, resumed=resumed)
        x_model = chains.last.x.detach()
        if chains.replica_states is not None and isinstance(self.start, KeepsReplicas):
            self.start.keep_replicas(initial, chains.replica_states, self.steps)
        else:
            self.start.keep(initial, x_model, self.steps)
        scalars = {} if self.replicas is None else self.replicas.follow(chains, self.steps)
        scalars |= {
            "acceptance": chains.accept.mean(),
            "chain_gradients": chains.gradients.mean(),
            "chain_age": (initial.age + self.steps).double().mean(),
            "chain_distance": difference(energy, x_model, initial.x).flatten(1).square().sum(1).mean().sqrt(),
        }
        if chains.last.grad is not None:
            scalars["input_grad_norm"] = chains.last.grad.flatten(1).norm(dim=1).mean()
        return x_model, scalars


def difference(energy: nn.Module, x: Float[Tensor, "n *event"], y: Float[Tensor, "n *event"]) -> Tensor:
    """Return x − y; of angles the shorter way around the circle."""
    return _angles.wrap(x - y) if space_of(energy) == _angles.SPACE else x - y


class Contrastive(ChainObjective):
    """loss = (mean E(x_data) − mean E(x_model))/T, with x_model the final states of chains of k steps.

    If the chains follow the model, its gradient, (⟨∂E/∂θ⟩_data − ⟨∂E/∂θ⟩_model)/T, is the gradient of the negative
    log-likelihood at temperature T. The start determines the method: data gives CD-k, replay gives persistent CD, and
    noise gives short-run sampling.

    The bias comes from the chains: from their start for small k, and from the step size for unadjusted samplers. With
    sampler=tempering and start=replay all replicas of a chain continue. If their path has exact draws (path=base), the
    chains do not stay near the states at which they started. The loss does not measure progress: it is near 0 whenever
    both phases are balanced. Both phases use evaluation mode, like the chains. With dropout they would belong to
    another model, so it acts only on regularizers.

    steps: kernel steps k per training step (≥ 1).
    chains: number of chains (≥ 1), or None for the size of the batch.
    delay_steps: initial training steps without chains and with a loss of 0, in which only regularizers act (≥ 0).
        Denoising gives an energy its local shape in a fraction of the time, and chains of an energy without shape may
        diverge.
    """

    waited: Tensor

    def __init__(
        self, steps: int, chains: int | None, delay_steps: int, sampler: Sampler, start: Start, engine: str
    ) -> None:
        super().__init__(steps, delay_steps, sampler, start, engine)
        if chains is not None:
            check.count("chains", chains)
        self.chains = chains
        self.has_chains = delay_steps == 0
        self.register_buffer("waited", torch.zeros((), dtype=torch.int64), persistent=delay_steps > 0)

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        if self.delay_steps and int(self.waited) < self.delay_steps:
            self.waited += 1
            e_data = energy(batch.x)
            # 0 times e_data would be differentiated even if no regularizer uses it.
            loss = torch.zeros((), device=e_data.device, dtype=e_data.dtype, requires_grad=True)
            return Outcome(loss=loss, x_data=batch.x, e_data=e_data, clean=batch.clean)
        n = self.chains or len(batch.x)
        x_model, scalars = self.negative_phase(energy, batch, n, rng)
        with evaluation_mode(energy):
            e_data, e_model = energy(batch.x), energy(x_model)
        loss = (e_data.mean() - e_model.mean()) / self.sampler.temperature
        return Outcome(loss, batch.x, e_data, x_model, e_model, batch.clean, scalars)


def check_chains(steps: int, sampler: Sampler) -> None:
    """Raise InputError unless steps ≥ 1, and the sampler has a temperature > 0 and no path through trained models."""
    check.count("steps", steps)
    temperature_of(sampler)
    path = sampler.path if isinstance(sampler, Tempering) else None
    if isinstance(path, DrawnPath) and path.has_anchors:
        trained = "they lead through a trained model"
        raise check.InputError(f"sampler cannot follow path=levels or path=runs in training: {trained}. Type path=base")
