"""Contrastive training: maximum likelihood with the negative phase from short chains."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.chain.loop import run_chains
from ebm_cli.data import Batch
from ebm_cli.energy import evaluating
from ebm_cli.objective import Objective, Outcome
from ebm_cli.sampler import Sampler
from ebm_cli.start import Start


class Contrastive(Objective):
    """loss = (mean E(x_data) − mean E(x_model))/T, with x_model the ends of chains of k steps.

    Its gradient, (⟨∂E/∂θ⟩_data − ⟨∂E/∂θ⟩_model)/T, is that of the negative log-likelihood at temperature T when
    the chains follow the model. The start says which method this is: data CD-k, replay persistent CD, noise
    short-run. The bias is that of the chains: their start for small k, their step for unadjusted samplers, and with
    tempering its hotter rungs, which begin at the chain's own state at every training step. The loss itself is no
    measure of progress: near 0 when both phases agree, whatever the model. Both phases are taken in evaluation mode, as
    the chains are: dropout would make theirs another model's, and acts on regularizers alone.

    The first `wait` steps have no chains and a loss of 0, for regularizers alone to act: denoising gives an energy its
    local shape in a fraction of the time, and chains of one that has none yet may not come to anything.

    steps: k ≥ 1 kernel steps a training step. chains: ≥ 1, or None for as many as a batch has rows. wait: training
    steps ≥ 0.
    """

    waited: Tensor

    def __init__(self, steps: int, chains: int | None, wait: int, sampler: Sampler, start: Start, engine: str) -> None:
        super().__init__()
        check_chains(steps, sampler)
        if chains is not None:
            check.count("chains", chains)
        check.count("wait", wait, least=0)
        self.steps = steps
        self.chains = chains
        self.wait = wait
        self.engine = engine
        self.register_buffer("waited", torch.zeros((), dtype=torch.int64), persistent=wait > 0)
        self.sampler = sampler
        self.start = start

    @property
    def has_chains(self) -> bool:
        return self.wait == 0

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        if self.wait and int(self.waited) < self.wait:
            self.waited += 1
            return self._without_chains(energy, batch)
        n = self.chains or len(batch.x)
        x_model, scalars = negative_phase(self.sampler, self.start, self.steps, energy, batch, n, rng, self.engine)
        with evaluating(energy):
            e_data, e_model = energy(batch.x), energy(x_model)
        return Outcome(
            loss=(e_data.mean() - e_model.mean()) / self.sampler.temperature,
            x_data=batch.x,
            e_data=e_data,
            x_model=x_model,
            e_model=e_model,
            clean=batch.clean,
            scalars=scalars,
        )

    def _without_chains(self, energy: nn.Module, batch: Batch) -> Outcome:
        """The positive phase alone, for regularizers to act on."""
        e_data = energy(batch.x)
        # Not 0 times e_data, which would be differentiated for nothing where no regularizer uses it.
        loss = torch.zeros((), device=e_data.device, dtype=e_data.dtype, requires_grad=True)
        return Outcome(loss=loss, x_data=batch.x, e_data=e_data, clean=batch.clean)


def check_chains(steps: int, sampler: Sampler) -> None:
    """Raise InputError unless chains of so many steps of this sampler can be trained on."""
    check.count("steps", steps)
    if sampler.temperature == 0:
        raise check.InputError(
            "steps of a sampler at temperature 0 have no law to train on: sampler.temperature must be > 0"
        )


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
    """The ends of n chains of so many steps, and what is logged of them."""
    begun = start.draw(n, batch, rng)
    chains = run_chains(sampler, energy, begun.x, steps, rng, thin=None, engine=engine)
    x_model = chains.last.x.detach()
    start.keep(begun, x_model, steps)
    return x_model, {
        "acceptance": chains.accept.mean(),
        "chain_gradients": chains.gradients.mean(),
        "chain_age": (begun.age + steps).double().mean(),
        "chain_distance": (x_model - begun.x).flatten(1).square().sum(1).mean().sqrt(),
        "input_grad_norm": chains.last.grad.flatten(1).norm(dim=1).mean(),
    }
