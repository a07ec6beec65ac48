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
    nll_every: steps between estimates of the held-out nll, each with a checkpoint (≥ 1); None: no estimates.
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
            lambda: self.ema_decay is None or check.half_open("ema_decay", self.ema_decay),
            lambda: check.one_of("on_divergence", self.on_divergence, ["stop", "rollback"]),
            lambda: check.count("max_rollbacks", self.max_rollbacks, minimum=0),
            lambda: check.open_interval("rollback_factor", self.rollback_factor),
        )

    @property
    def can_roll_back(self) -> bool:
        """Return True if training may return to an earlier checkpoint."""
        return self.on_divergence == "rollback"

    def is_checkpoint_step(self, step: int) -> bool:
        """Return True if a checkpoint is written after this step."""
        return step % self.checkpoint_every == 0 or step == self.steps or self.is_score_step(step)

    def is_score_step(self, step: int) -> bool:
        """Return True if the held-out nll is estimated after this step."""
        return self.nll_every is not None and (step % self.nll_every == 0 or step == self.steps)
