"""How long to train, and what to keep."""

from dataclasses import dataclass
from functools import partial

from ebm_cli import check


@dataclass(frozen=True)
class Trainer:
    """How long to train and what to keep.

    steps: absolute step to end at ≥ 1. batch_size: rows a step ≥ 1. average: decay of the averaged weights in
    [0, 1), or null for none. checkpoint_every, log_every: in steps. nll_every: steps between brackets of the held-out
    nll, each with a checkpoint, or null for none. keep: checkpoints kept ≥ 1, or the size that they may take, such as
    200MB; the newest, the best and, with rollback, step 0 stay in any case. on_divergence: stop or rollback.
    rollbacks: at most so many ≥ 0. rollback_factor: in (0, 1), by which each multiplies the rate or the chains' step.
    """

    steps: int
    batch_size: int
    average: float | None
    checkpoint_every: int
    log_every: int
    nll_every: int | None
    keep: int | str
    on_divergence: str
    rollbacks: int
    rollback_factor: float

    def __post_init__(self) -> None:
        counts = ("steps", "batch_size", "checkpoint_every", "log_every")
        check.every(
            *(partial(check.count, name, getattr(self, name)) for name in counts),
            lambda: check.count_or_size("keep", self.keep),
            lambda: self.nll_every is None or check.count("nll_every", self.nll_every),
            lambda: self.average is None or check.half_open("average", self.average),
            lambda: check.one_of("on_divergence", self.on_divergence, ["stop", "rollback"]),
            lambda: check.count("rollbacks", self.rollbacks, least=0),
            lambda: check.half_open("rollback_factor", self.rollback_factor),
            lambda: self.rollback_factor == 0 and check.positive("rollback_factor", self.rollback_factor),
        )

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is due."""
        return step % self.checkpoint_every == 0 or step == self.steps or self.scores(step)

    @property
    def may_go_back(self) -> bool:
        """Whether training can go back to checkpoints other than the newest."""
        return self.on_divergence == "rollback"

    def scores(self, step: int) -> bool:
        """Whether a bracket of nll is due."""
        return self.nll_every is not None and (step % self.nll_every == 0 or step == self.steps)
