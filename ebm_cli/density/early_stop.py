"""Maximum likelihood by gradient descent that stops early, at the weights with the best validation score."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

MAX_GRADIENT_NORM = 5.0
EMA_DECAY = 0.99

# A function from a network and rows to the log-density of the rows.
LogProb = Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True)
class Plan:
    """Each learning rate is used until the validation score stops improving.

    learning_rates: decreasing.
    weight_decay: of AdamW.
    validate_every: steps between validations.
    patience: validations without improvement after which a learning rate is finished.
    max_steps: steps after which a learning rate is finished.
    """

    learning_rates: tuple[float, ...]
    weight_decay: float
    validate_every: int
    patience: int
    max_steps: int


def best_average(
    network: nn.Module,
    log_prob: LogProb,
    batch: Callable[[], Tensor],
    checked: Float[Tensor, "m d"],
    plan: Plan,
    stop: Callable[[], bool],
) -> nn.Module:
    """Return the moving average of the weights with the best mean log-density of the validation rows.

    batch: returns the training rows of the next step.
    checked: validation rows.
    stop: polled at every validation; if true, the best weights so far are returned.
    """
    average, lowest, best = copy.deepcopy(network).eval(), torch.inf, copy.deepcopy(network).eval()
    for rate in plan.learning_rates:
        network.load_state_dict(best.state_dict())
        average.load_state_dict(best.state_dict())
        optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=plan.weight_decay)
        stale = 0
        for step in range(1, plan.max_steps + 1):
            descend(network, optimizer, -log_prob(network, batch()).mean())
            update_average(average, network, step)
            if step % plan.validate_every == 0:
                with torch.no_grad():
                    loss = -float(log_prob(average, checked).mean())
                stale = 0 if loss < lowest else stale + 1
                if loss < lowest:
                    lowest = loss
                    best.load_state_dict(average.state_dict())
                if stale == plan.patience or stop():
                    break
    return best


def descend(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Float[Tensor, ""]) -> None:
    """Make one step of the optimizer."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
    optimizer.step()


def update_average(average: nn.Module, network: nn.Module, step: int) -> None:
    """Move the average toward the weights; early steps count more."""
    with torch.no_grad():
        for mean, new in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(new, 1 - min(EMA_DECAY, step / (step + 9)))
