"""One training step, and the check that its numbers are finite."""

from typing import Any

import torch
from torch import Tensor, nn

from ebm_cli.assembly.components import Parts
from ebm_cli.energy import frozen
from ebm_cli.objective import Outcome
from ebm_cli.run.folder import Run
from ebm_cli.training.rollback import Diverged
from ebm_cli.training.state import TrainState
from ebm_cli.training.trainer import Trainer

# Chains have diverged if their energies are this many times larger than the largest energy of the data.
RUNAWAY_FACTOR = 1000.0


def step(parts: Parts, trainer: Trainer, state: TrainState, run: Run) -> tuple[Outcome, Tensor]:
    """Make one step: batch, loss, gradient, update, average. Return the outcome and the unclipped gradient norm."""
    assert parts.data is not None and parts.objective is not None and parts.optimizer is not None
    number = state.step + 1
    batch = parts.data.sample(trainer.batch_size, state.generators["data"])
    outcome = parts.objective(parts.energy, batch, state.generators["chains"])
    loss = outcome.loss
    for regularizer in parts.regularizers.values():
        loss = loss + regularizer(parts.energy, outcome, state.generators["chains"])
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    clip = parts.optimizer.clip
    norm = nn.utils.clip_grad_norm_(parameters, float("inf") if clip is None else clip)
    require_finite(outcome, loss, norm, number, run)
    state.optimizer.step()
    state.schedule.step()
    if state.averaged is not None:
        state.averaged.update_parameters(parts.energy)
    state.step = number
    return outcome, norm


def require_finite(outcome: Outcome, loss: Tensor, norm: Tensor, number: int, run: Run) -> None:
    """Raise Diverged, with the quantity, the chain and the step, unless all numbers of this step are finite."""
    if bool((loss.isfinite() & norm.isfinite()).all()):
        return
    quantities: dict[str, Any] = {
        "energy of the model's chains (e_model)": outcome.e_model,
        "energy of the data (e_data)": outcome.e_data,
        "loss": loss[None],
        "gradient of the loss": norm[None],
    }
    for name, value in quantities.items():
        if value is not None and not bool(value.isfinite().all()):
            rows = (~value.isfinite()).nonzero().flatten().tolist()
            where = f" (chain {rows[0]}, {len(rows)} of {len(value)})" if value is outcome.e_model else ""
            raise Diverged(f"the {name} is not finite{where}", number, run, have_chains_diverged(outcome))


def have_chains_diverged(outcome: Outcome) -> bool:
    """Return True if energies of chains are not finite, or a thousand times larger than the largest energy of data."""
    if outcome.e_model is None:
        return False
    largest = outcome.e_data.detach().abs().max().clamp(min=1.0)
    return not bool((outcome.e_model.detach().abs() < RUNAWAY_FACTOR * largest).all())


def require_finite_weights(parts: Parts, outcome: Outcome, number: int, run: Run) -> None:
    """Raise Diverged unless the updated weights and the energies of the data are finite. It is called before a save."""
    if not all(bool(p.isfinite().all()) for p in parts.energy.parameters()):
        raise Diverged("the weights are not finite after the update", number, run)
    with torch.no_grad(), frozen(parts.energy):
        if not bool(parts.energy(outcome.x_data).isfinite().all()):
            raise Diverged("the energy of the data is not finite after the update", number, run)
