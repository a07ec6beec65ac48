"""Contrastive training: maximum likelihood with the negative phase from short chains."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.chain.loop import run_chains
from ebm_cli.data import Batch
from ebm_cli.energy import evaluation_mode
from ebm_cli.objective import Objective, Outcome, temperature_of
from ebm_cli.sampler import Sampler
from ebm_cli.start import Start


class Contrastive(Objective):
    """loss = (mean E(x_data) − mean E(x_model))/T, with x_model the final states of chains of k steps.

    Its gradient, (⟨∂E/∂θ⟩_data − ⟨∂E/∂θ⟩_model)/T, is that of the negative log-likelihood at temperature T if
    the chains follow the model. The start determines the method: data CD-k, replay persistent CD, noise short-run.

    The bias is that of the chains: of their start for small k, and of the step size for unadjusted samplers. Tempering
    adds that of its hotter replicas, which start at the state of the chain at every training step. The loss does not
    measure progress: it is near 0 whenever both phases agree. Both phases use evaluation mode, like the chains.
    Dropout would make them phases of another model; it acts only on regularizers.

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
        super().__init__()
        check_chains(steps, sampler)
        if chains is not None:
            check.count("chains", chains)
        check.count("delay_steps", delay_steps, least=0)
        self.steps, self.chains, self.delay_steps = steps, chains, delay_steps
        self.has_chains = delay_steps == 0
        self.sampler, self.start, self.engine = sampler, start, engine
        self.register_buffer("waited", torch.zeros((), dtype=torch.int64), persistent=delay_steps > 0)

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        if self.delay_steps and int(self.waited) < self.delay_steps:
            self.waited += 1
            e_data = energy(batch.x)
            # 0 times e_data would be differentiated even if no regularizer uses it.
            loss = torch.zeros((), device=e_data.device, dtype=e_data.dtype, requires_grad=True)
            return Outcome(loss=loss, x_data=batch.x, e_data=e_data, clean=batch.clean)
        n = self.chains or len(batch.x)
        x_model, scalars = negative_phase(self.sampler, self.start, self.steps, energy, batch, n, rng, self.engine)
        with evaluation_mode(energy):
            e_data, e_model = energy(batch.x), energy(x_model)
        loss = (e_data.mean() - e_model.mean()) / self.sampler.temperature
        return Outcome(loss, batch.x, e_data, x_model, e_model, batch.clean, scalars)


def check_chains(steps: int, sampler: Sampler) -> None:
    """Raise InputError unless steps ≥ 1 and the sampler has a temperature > 0."""
    check.count("steps", steps)
    temperature_of(sampler)


def negative_phase(
    sampler: Sampler,
    start: Start,
    steps: int,
    energy: nn.Module,
    batch: Batch,
    n: int,
    rng: torch.Generator,
    engine: str,
) -> tuple[Float[Tensor, "n *event"], dict[str, Tensor]]:
    """Return the final states of n chains of this many steps, and the scalars to log."""
    initial = start.draw(n, batch, rng)
    chains = run_chains(sampler, energy, initial.x, steps, rng, thin=None, engine=engine)
    x_model = chains.last.x.detach()
    start.keep(initial, x_model, steps)
    scalars = {
        "acceptance": chains.accept.mean(),
        "chain_gradients": chains.gradients.mean(),
        "chain_age": (initial.age + steps).double().mean(),
        "chain_distance": (x_model - initial.x).flatten(1).square().sum(1).mean().sqrt(),
    }
    if chains.last.grad is not None:
        scalars["input_grad_norm"] = chains.last.grad.flatten(1).norm(dim=1).mean()
    return x_model, scalars
