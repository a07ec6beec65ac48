"""Which checkpoint is best: each is ranked by how far the chains of its step lie from held-out rows."""

import numpy as np
from scipy.spatial.distance import cdist
from torch import Tensor

from ebm_cli.data import Data, noised
from ebm_cli.metric import rows
from ebm_cli.metric.mmd import kernel, mmd
from ebm_cli.objective import Outcome
from ebm_cli.parts import Parts
from ebm_cli.run import Run, write_text
from ebm_cli.start.replay import Replay

MOST = 500
SCORE = "sample_mmd"


class Ranking:
    """MMD² of at most 500 chains to as many held-out rows with the set's own noise, as metric=mmd has it.

    Cheap and coarse: it looks at chains as training left them, not at fresh ones, and ranks the checkpoints of one
    run alone.
    """

    def __init__(self, data: Data) -> None:
        self.held_out = rows(noised(data, "held_out", 0).x[:MOST])
        distances = cdist(self.held_out, self.held_out)
        between = distances[np.triu_indices(len(distances), 1)]
        self.width = float(np.median(between)) if between.any() else 1.0
        self.own = kernel(distances, self.width)

    def score(self, x: Tensor) -> float | None:
        """MMD² of chains at x, one a row; None where there are fewer than three of them or of held-out rows."""
        if min(len(x), len(self.held_out)) < 3:
            return None
        states = rows(x[:MOST])
        value, _ = mmd(
            kernel(cdist(states, states), self.width), self.own, kernel(cdist(states, self.held_out), self.width)
        )
        return value


def chains_of(parts: Parts, outcome: Outcome | None) -> Tensor | None:
    """The states of a run's chains: the replay buffer, else the ends of this step's; None where it has no chains."""
    x = None if outcome is None else outcome.x_model
    if isinstance(parts.start, Replay) and bool(parts.start.filled):
        x = parts.start.x
    return None if x is None else x.detach()


def point_at_best(run: Run) -> None:
    """Let checkpoints/best name the checkpoint of the lowest score among those that are still there."""
    have = set(run.steps())
    scores = {row["step"]: row[SCORE] for row in run.history() if SCORE in row and row["step"] in have}
    if scores:
        write_text(run.checkpoints / "best", f"step-{min(scores, key=lambda step: scores[step])}\n")
    else:
        (run.checkpoints / "best").unlink(missing_ok=True)
