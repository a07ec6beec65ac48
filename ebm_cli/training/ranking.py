"""Rank checkpoints by the likelihood of held-out samples, or by the distance of the chains from held-out samples."""

import numpy as np
from scipy.spatial.distance import cdist
from torch import Tensor

from ebm_cli.assembly.components import Parts
from ebm_cli.data import Data
from ebm_cli.data._rows import noisy_split
from ebm_cli.metric import rows
from ebm_cli.metric.mmd import kernel, mmd
from ebm_cli.objective import Outcome
from ebm_cli.run.folder import Run
from ebm_cli.run.scores import LIKELIHOOD, SCORE, scores_of
from ebm_cli.run.writing import write_text
from ebm_cli.start.replay import Replay

MAX_ROWS = 500


class Ranking:
    """MMD² of up to 500 chains and up to 500 held-out samples with the data's own noise, computed as in metric=mmd.

    This score is cheap and coarse, because it uses the chains of training instead of new chains. It can only rank the
    checkpoints of the same run.
    """

    def __init__(self, data: Data) -> None:
        self.held_out = rows(noisy_split(data, "held_out", 0).x[:MAX_ROWS])
        distances = cdist(self.held_out, self.held_out)
        between = distances[np.triu_indices(len(distances), 1)]
        self.width = float(np.median(between)) if between.any() else 1.0
        self.own = kernel(distances, self.width)

    def score(self, x: Tensor) -> float | None:
        """Return MMD² of chains at x; None for fewer than three chains or held-out samples."""
        if min(len(x), len(self.held_out)) < 3:
            return None
        states = rows(x[:MAX_ROWS])
        value, _ = mmd(
            kernel(cdist(states, states), self.width), self.own, kernel(cdist(states, self.held_out), self.width)
        )
        return value


def chains_of(parts: Parts, outcome: Outcome | None) -> Tensor | None:
    """Return the states of a run's chains: its replay buffer, or the final states of this step; None without chains."""
    x = None if outcome is None else outcome.x_model
    if isinstance(parts.start, Replay) and bool(parts.start.filled):
        x = parts.start.x
    return None if x is None else x.detach()


def point_at_best(run: Run) -> None:
    """Let checkpoints/best name the existing checkpoint with the lowest score."""
    scores = scores_of(run, LIKELIHOOD) or scores_of(run, SCORE)
    if scores:
        write_text(run.checkpoints / "best", f"step-{min(scores, key=lambda step: scores[step])}\n")
    else:
        (run.checkpoints / "best").unlink(missing_ok=True)
