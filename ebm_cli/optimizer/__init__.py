"""Optimizers: torch's own, with a rate that warms up and decays. Every other file in this folder is one of them."""

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
    """Hyperparameters from which an optimizer and its schedule are made."""

    @property
    def clip(self) -> float | None: ...

    def build(self, parameters: Iterable[nn.Parameter]) -> Optimizer: ...

    def schedule(self, optimizer: Optimizer) -> LambdaLR: ...


def moment_decays(betas: object) -> None:
    """Raise InputError unless `betas` is a list of two numbers in [0, 1)."""
    if not isinstance(betas, list) or len(betas) != 2:
        raise check.InputError(f"betas must be two numbers, got {betas}")
    for beta in betas:
        check.half_open("betas", beta)


@dataclass(frozen=True)
class Rate:
    """Base of the recipes: η_t = lr·min(1, t/warmup)·decay(t), t = 1, 2, … the absolute training step.

    With restart_at = s all of it is over by step s, and begins anew after it with restart_factor·lr in the place of lr,
    steps counted from s; a warm restart (Loshchilov and Hutter, 2017, arXiv 1608.03983), for a loss that changes there.
    The optimizer's moments go on.

    decay: constant, 1; cosine, from 1 at the end of the warm-up along half a cosine to decay_factor at
    decay_at; step, 1 before decay_at and decay_factor from there on. clip: bound on the gradient's norm over
    all parameters, or null. Steps are absolute, so that extending a run keeps them.

    lr: > 0. warmup: ≥ 0. decay_at: ≥ 1 (`null` in YAML is trainer.steps, written down when the run begins).
    decay_factor: in [0, 1]. restart_at: in [1, decay_at), or None. restart_factor: in (0, 1].
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
        check.count("warmup", self.warmup, least=0)
        check.one_of("decay", self.decay, DECAYS)
        check.count("decay_at", self.decay_at)
        check.share("decay_factor", self.decay_factor)
        check.share("restart_factor", self.restart_factor)
        check.positive("restart_factor", self.restart_factor)
        if self.restart_at is not None:
            check.count("restart_at", self.restart_at)
            if self.restart_at >= self.decay_at:
                raise check.InputError(f"restart_at must be < decay_at = {self.decay_at}, got {self.restart_at}")
        if self.clip is not None:
            check.positive("clip", self.clip)

    def factor(self, step: int) -> float:
        """η_t/lr at training step t ≥ 1."""
        if self.restart_at is None:
            return self._factor(step, self.decay_at)
        if step <= self.restart_at:
            return self._factor(step, self.restart_at)
        return self.restart_factor * self._factor(step - self.restart_at, self.decay_at - self.restart_at)

    def _factor(self, step: int, decay_at: int) -> float:
        """min(1, t/warmup)·decay(t), which ends at `decay_at`."""
        warm = min(1.0, step / self.warmup) if self.warmup else 1.0
        if self.decay == "constant":
            return warm
        if self.decay == "step":
            return warm * (self.decay_factor if step >= decay_at else 1.0)
        span = max(1, decay_at - self.warmup)
        share = min(1.0, max(0, step - self.warmup) / span)
        return warm * (self.decay_factor + (1 - self.decay_factor) * 0.5 * (1 + math.cos(math.pi * share)))

    def schedule(self, optimizer: Optimizer) -> LambdaLR:
        # LambdaLR counts from 0 before the first step; training steps count from 1.
        return LambdaLR(optimizer, lambda done: self.factor(done + 1))
