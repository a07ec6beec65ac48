"""Stop training when the held-out nll no longer improves."""

from ebm_cli.run.folder import Run
from ebm_cli.run.scores import LIKELIHOOD
from ebm_cli.run.terminal import Terminal
from ebm_cli.training.trainer import Trainer


def ends_early(trainer: Trainer, run: Run, step: int, terminal: Terminal) -> bool:
    """Return True, and say why, if training ends at this step before its last.

    It ends if the upper bound of nll was lowest `trainer.patience` steps ago or earlier.
    """
    if trainer.stop != "nll" or not trainer.is_score_step(step) or step == trainer.steps:
        return False
    scores = {row["step"]: row[LIKELIHOOD] for row in run.history() if LIKELIHOOD in row}
    best = min(scores, key=lambda at: scores[at], default=step)
    if step - best < trainer.patience:
        return False
    terminal.say(
        f"training stops at step {step}: the upper bound of nll was lowest at step {best}, {scores[best]:.4g} nats. "
        "checkpoint=best is that step"
    )
    return True
