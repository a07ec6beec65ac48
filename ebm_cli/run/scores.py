"""Scores of a run's checkpoints, as its log holds them."""

from ebm_cli.run.folder import Run

SCORE = "sample_mmd"
# The pessimistic end of nll, in nats a row: it ranks wherever some checkpoint has one.
LIKELIHOOD = "nll_upper"


def scores_of(run: Run, by: str) -> dict[int, float]:
    """The scores of that name of the checkpoints that are still there, by their step."""
    have = set(run.steps())
    return {row["step"]: row[by] for row in run.history() if row["step"] in have and by in row}


def best_score(run: Run, by: str) -> float | None:
    """The lowest score of that name, None if no checkpoint has one."""
    return min(scores_of(run, by).values(), default=None)
