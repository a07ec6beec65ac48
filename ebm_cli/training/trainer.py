"""The settings of training: its length, its logs, its checkpoints and its rollbacks."""

from dataclasses import dataclass
from functools import partial

from ebm_cli import check


@dataclass(frozen=True)
class Trainer:
    """The settings of training.
    steps: total number of steps (≥ 1).
    batch_size: rows per step (≥ 1).
    ema_decay: decay of the averaged weights (in [0, 1)); None: no averaging.
    checkpoint_every: steps between checkpoints (≥ 1).
    log_every: steps between logged rows (≥ 1).
    nll_every: steps between estimates of the held-out nll, each with a checkpoint (≥ 1); None: no estimates, or one
        per checkpoint with `track`.
    track: replicas, for estimates of the nll by replica exchange; None: by annealing.
    stop: nll, to end training when the upper bound of nll no longer improves; None: after `steps`.
    patience: steps without improvement after which stop=nll ends training (≥ 1).
    keep: number of checkpoints kept (≥ 1), or their total size, such as 200MB. The newest checkpoint, the best
        and, with rollback, step 0 always stay.
    on_divergence: stop or rollback.
    max_rollbacks: maximum number of rollbacks (≥ 0).
    rollback_factor: factor by which a rollback changes the learning rate or the step size of the chains (in (0, 1)).
    """

    steps: int
    batch_size: int
    ema_decay: float | None
    checkpoint_every: int
    log_every: int
    nll_every: int | None
    track: str | None
    stop: str | None
    patience: int
    keep: int | str
    on_divergence: str
    max_rollbacks: int
    rollback_factor: float

    def __post_init__(self) -> None:
        counts = ("steps", "batch_size", "checkpoint_every", "log_every")
        check.every(
            *(partial(check.count, name, getattr(self, name)) for name in counts),
            lambda: check.count_or_size("keep", self.keep),
            lambda: self.nll_every is None or check.count("nll_every", self.nll_every),
            lambda: self.track is None or check.one_of("track", self.track, ["replicas"]),
            lambda: self.stop is None or check.one_of("stop", self.stop, ["nll"]),
            lambda: check.count("patience", self.patience),
            self.check_stop,
            lambda: self.ema_decay is None or check.half_open("ema_decay", self.ema_decay),
            lambda: check.one_of("on_divergence", self.on_divergence, ["stop", "rollback"]),
            lambda: check.count("max_rollbacks", self.max_rollbacks, minimum=0),
            lambda: check.open_interval("rollback_factor", self.rollback_factor),
        )

    def check_stop(self) -> None:
        """Raise InputError if training is to stop by an nll that it does not estimate."""
        if self.stop == "nll" and self.score_every is None:
            raise check.InputError("stop=nll needs estimates of nll: trainer.track=replicas, or trainer.nll_every=500")

    @property
    def score_every(self) -> int | None:
        """Return the number of steps between estimates of the nll; None for no estimates."""
        return self.checkpoint_every if self.nll_every is None and self.track is not None else self.nll_every

    @property
    def can_roll_back(self) -> bool:
        """Return True if training may return to an earlier checkpoint."""
        return self.on_divergence == "rollback"

    def is_checkpoint_step(self, step: int) -> bool:
        """Return True if a checkpoint is written after this step."""
        return step % self.checkpoint_every == 0 or step == self.steps or self.is_score_step(step)

    def is_score_step(self, step: int) -> bool:
        """Return True if the held-out nll is estimated after this step."""
        return self.score_every is not None and (step % self.score_every == 0 or step == self.steps)
