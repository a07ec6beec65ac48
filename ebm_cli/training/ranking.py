"""Rank checkpoints by the likelihood of held-out samples, or by the distance of the chains from held-out samples."""

import dataclasses

import numpy as np
from scipy.spatial.distance import cdist
from torch import Tensor

from ebm_cli.assembly.components import Parts
from ebm_cli.data import Data
from ebm_cli.data._rows import noisy_split
from ebm_cli.metric import rows
from ebm_cli.metric.mmd import kernel, mmd
from ebm_cli.metric.nll import nll_estimate, reduced_energies
from ebm_cli.objective import Outcome
from ebm_cli.partition import Budget, Integrand, log_z
from ebm_cli.partition.settings import DEFAULT_SETTINGS
from ebm_cli.run.folder import Run
from ebm_cli.run.scores import LIKELIHOOD, SCORE, scores_of
from ebm_cli.run.writing import write_text
from ebm_cli.start.replay import Replay
from ebm_cli.training.state import TrainState

MAX_ROWS = 500
# One round of few and short paths.
CHEAP_SETTINGS = dataclasses.replace(
    DEFAULT_SETTINGS, base="gaussian", chains=32, temperatures=100, leapfrog_steps=3, steps=150
)


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


class Likelihood:
    """nll of up to 500 held-out samples with the data's own noise, and its bounds from one cheap round of log Z."""

    def __init__(self, data: Data, seed: int) -> None:
        self.train, self.held_out = noisy_split(data, "train", 0), noisy_split(data, "held_out", 0).x[:MAX_ROWS]
        self.noise = data.noise
        self.seed = seed

    def measure(self, parts: Parts, state: TrainState) -> dict[str, float]:
        """Return nll, nll_lower and nll_upper of the averaged weights, except refused ones.

        It uses no generator of the training state.
        """
        energy = state.energy if state.averaged is None else state.averaged.module
        T = parts.sampler.temperature
        integrand = Integrand.from_data(energy, T, parts.event, self.train, self.noise, self.seed)
        found = log_z(integrand, CHEAP_SETTINGS, Budget()).estimate
        nll = nll_estimate(reduced_energies(energy, T, self.held_out), found, 1.0, "nats")
        named = {"nll": nll.value, "nll_lower": nll.lower, LIKELIHOOD: nll.upper}
        return {name: value for name, value in named.items() if isinstance(value, float)}


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
