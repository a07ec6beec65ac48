"""Optimizers of torch with a learning rate that warms up and decays; one file per optimizer."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ebm_cli import check

DECAYS = ("constant", "cosine", "step")


@runtime_checkable
class OptimizerRecipe(Protocol):
    """Hyperparameters that build an optimizer and its learning-rate schedule."""

    @property
    def clip(self) -> float | None: ...

    def build(self, parameters: Iterable[nn.Parameter]) -> Optimizer: ...

    def schedule(self, optimizer: Optimizer) -> LambdaLR: ...


def check_betas(betas: object) -> None:
    """Raise InputError unless `betas` is a list of two numbers in [0, 1)."""
    if not isinstance(betas, list) or len(betas) != 2:
        raise check.InputError(f"betas must be two numbers, got {betas}")
    for beta in betas:
        check.half_open("betas", beta)


@dataclass(frozen=True)
class Rate:
    """Base of the recipes: η_t = lr·min(1, t/warmup)·decay(t) at training step t = 1, 2, …

    Steps are absolute, so an extended run keeps its schedule. With restart_at = s the schedule restarts at step s,
    counted from s, with restart_factor·lr as its lr. This is a warm restart (Loshchilov and Hutter,
    2017, arXiv 1608.03983) for a loss that changes at s. The optimizer keeps its moments.

    lr: peak learning rate (> 0).
    warmup: steps of linear warm-up (≥ 0).
    decay: constant (1); cosine (from 1 after warm-up to decay_factor at decay_at); step (1, decay_factor from decay_at
        on).
    decay_at: last step of the decay (≥ 1). `null` in YAML means trainer.steps at the start of the run.
    decay_factor: final decay (in [0, 1]).
    restart_at: step of the restart (in [1, decay_at)), or None.
    restart_factor: peak rate after the restart, relative to lr (in (0, 1]).
    clip: maximum norm of the gradient over all parameters (> 0), or None.
    """

    lr: float
    warmup: int
    decay: str
    decay_at: int
    decay_factor: float
    restart_at: int | None
    restart_factor: float
    clip: float | None

    def __post_init__(self) -> None:
        check.positive("lr", self.lr)
        check.count("warmup", self.warmup, minimum=0)
        check.one_of("decay", self.decay, DECAYS)
        check.count("decay_at", self.decay_at)
        check.fraction("decay_factor", self.decay_factor)
        check.fraction("restart_factor", self.restart_factor)
        check.positive("restart_factor", self.restart_factor)
        if self.restart_at is not None:
            check.count("restart_at", self.restart_at)
            if self.restart_at >= self.decay_at:
                raise check.InputError(f"restart_at must be < decay_at = {self.decay_at}, got {self.restart_at}")
        if self.clip is not None:
            check.positive("clip", self.clip)

    def factor(self, step: int) -> float:
        """Return η_t/lr at training step t ≥ 1."""
        if self.restart_at is None:
            return self._factor(step, self.decay_at)
        if step <= self.restart_at:
            return self._factor(step, self.restart_at)
        return self.restart_factor * self._factor(step - self.restart_at, self.decay_at - self.restart_at)

    def _factor(self, step: int, decay_at: int) -> float:
        """Return min(1, t/warmup)·decay(t) for a decay up to step `decay_at`."""
        warm = min(1.0, step / self.warmup) if self.warmup else 1.0
        if self.decay == "constant":
            return warm
        if self.decay == "step":
            return warm * (self.decay_factor if step >= decay_at else 1.0)
        span = max(1, decay_at - self.warmup)
        progress = min(1.0, max(0, step - self.warmup) / span)
        return warm * (self.decay_factor + (1 - self.decay_factor) * 0.5 * (1 + math.cos(math.pi * progress)))

    def schedule(self, optimizer: Optimizer) -> LambdaLR:
        # LambdaLR counts from 0 before the first step; training steps count from 1.
        return LambdaLR(optimizer, lambda done: self.factor(done + 1))
