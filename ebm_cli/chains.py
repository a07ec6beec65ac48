"""The one loop that moves chains: for every sampler, in training and in sampling alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.energy import frozen
from ebm_cli.sampler import Sampler


@dataclass(frozen=True)
class Trajectory:
    """What chains left behind.

    x, energy, accept: kept draws, oldest first; accept is the mean acceptance since the draw before (one row, over
    all steps, where no draw is kept).
    last: the final state. broke: the step at which a chain first was not finite, −1 where it never was.
    steps: kernel steps made, burn-in included.
    """

    x: Float[Tensor, "draws n *event"]
    energy: Float[Tensor, "draws n"]
    accept: Float[Tensor, "_ n"]
    last: Any
    broke: Int[Tensor, " n"]
    steps: int


def never() -> bool:
    """A stop signal that never comes."""
    return False


def silent(step: int) -> None:
    """A progress report that goes nowhere."""


def run_chains(
    sampler: Sampler,
    energy: nn.Module,
    x: Float[Tensor, "n *event"],
    steps: int,
    rng: torch.Generator,
    burn_in: int = 0,
    thin: int | None = 1,
    progress: Callable[[int], None] = silent,
    stop: Callable[[], bool] = never,
) -> Trajectory:
    """Move the chains at x by burn_in + steps transitions; keep every thin-th of the last `steps`.

    thin=None keeps no draw, only the last state. The energy is frozen and in evaluation mode meanwhile. A chain
    that is no longer finite stays so and is named in `broke`; nothing here waits for the device. `stop` is
    asked after every step; on True the draws so far come back.
    """
    n, draws = x.shape[0], steps // thin if thin else 0
    kept = Trajectory(
        x=x.new_empty(draws, *x.shape),
        energy=x.new_empty(draws, n),
        accept=x.new_empty(draws, n),
        last=None,
        broke=torch.full((n,), -1, dtype=torch.int64, device=x.device),
        steps=burn_in + steps,
    )
    broke, accepted, filled, step = kept.broke, x.new_zeros(n), 0, 0
    with frozen(energy), torch.no_grad():
        state = sampler.init(energy, x, rng)
        for step in range(1, burn_in + steps + 1):
            state, info = sampler.step(energy, state, rng)
            broke = torch.where((broke < 0) & ~state.energy.isfinite(), step, broke)
            if thin and step > burn_in:
                accepted += info.accept
                if (step - burn_in) % thin == 0 and filled < draws:
                    kept.x[filled], kept.energy[filled] = state.x, state.energy
                    kept.accept[filled] = accepted / thin
                    accepted.zero_()
                    filled += 1
            elif not thin:
                accepted += info.accept
            progress(step)
            if stop():
                break
    accept = kept.accept[:filled] if thin else (accepted / max(step, 1))[None]
    return Trajectory(kept.x[:filled], kept.energy[:filled], accept, state, broke, step)
