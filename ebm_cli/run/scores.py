"""The scores of a run's checkpoints, read from its log."""

from ebm_cli.run.folder import Run

SCORE = "sample_mmd"
# The upper bound of nll, in nats per sample. It ranks the checkpoints if any of them has this score.
LIKELIHOOD = "nll_upper"


def scores_of(run: Run, by: str) -> dict[int, float]:
    """Return the scores named `by` of the existing checkpoints, by their step."""
    have = set(run.steps())
    return {row["step"]: row[by] for row in run.history() if row["step"] in have and by in row}


def best_score(run: Run, by: str) -> float | None:
    """Return the lowest score named `by`; None if no checkpoint has it."""
    return min(scores_of(run, by).values(), default=None)
