"""The jobs of a sweep, read from their folders: values, status, numbers, score and rank."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ebm_cli.check import InputError
from ebm_cli.report.judgment import reasons_of
from ebm_cli.run.folder import Run
from ebm_cli.run.scores import LIKELIHOOD, SCORE, best_score

Metrics = dict[str, dict[str, Any]]

SEED = "seed"
# Scores of each verb. Jobs are ranked by the first score that any of them has.
RANKED_BY = {
    "train": (LIKELIHOOD, SCORE),
    "sample": ("ess_bulk_min",),
    "evaluate": ("nll", "frechet_ratio", "tv", "mmd"),
    "diagnose": ("ess_per_gradient", "ess_bulk_min"),
}
HIGHER_IS_BETTER = ("ess_bulk_min", "ess_per_gradient")
# Verbs whose scores compare the model with data, and keys that change the data.
COMPARED_WITH_DATA = ("train", "evaluate")
DATA_KEYS = ("data", "experiment")


@dataclass(frozen=True)
class Member:
    """One job.

    values: the typed value of each key that varies, and the seed.
    metrics: rows of metrics.json; empty until the job is done.
    score: the number by which it is ranked, if any.
    mean_score: mean of the score over the seeds of its combination.
    score_error: standard error of that mean.
    rank: rank of its combination, from 1, if any.
    """

    number: int
    folder: Path
    values: dict[str, str]
    status: str
    reason: str
    metrics: Metrics
    score: float | None = None
    mean_score: float | None = None
    score_error: float | None = None
    rank: int | None = None

    @property
    def verdict(self) -> str:
        """Return the worst verdict of its numbers; empty without numbers."""
        found = {row["verdict"] for row in self.metrics.values()}
        return next((verdict for verdict in ("refused", "caution", "ok") if verdict in found), "")


@dataclass(frozen=True)
class Sweep:
    """The jobs of a verb.

    keys: the keys that vary.
    by: name of the score that ranks the jobs, empty for no ranking.
    """

    verb: str
    keys: list[str]
    members: list[Member]
    by: str

    @property
    def axes(self) -> list[str]:
        """Return the keys that are axes: all varying keys except the seed, or the seed if no other key varies."""
        return [key for key in self.keys if key != SEED] or self.keys

    @property
    def has_replicates(self) -> bool:
        """Return True if each combination was run with several seeds."""
        return self.axes != self.keys


def read_sweep(verb: str, keys: list[str], folder: Path, values: Sequence[dict[str, str]]) -> Sweep:
    """Read the jobs of the sweep in `folder`, job n with values[n], and rank them."""
    members = [read_member(folder / str(number), number, each) for number, each in enumerate(values)]
    by, members = add_scores(verb, keys, members)
    sweep = Sweep(verb, keys, members, by)
    return dataclasses.replace(sweep, members=rank_members(sweep))


def read_member(folder: Path, number: int, values: dict[str, str]) -> Member:
    """Read one job from its folder."""
    run = Run(folder)
    state, reason = status(run)
    metrics = run.metrics() if state == "done" else {}
    return Member(number, folder, values, state, reason or caution_reasons(metrics), metrics)


def status(run: Run) -> tuple[str, str]:
    """Return the status of a job and the reason if it is not done."""
    failure = run.folder / "failure.txt"
    if run.is_finished():
        try:
            run.whole_metrics()
        except InputError as error:
            return "damaged", error.messages[0]
        return "done", ""
    if failure.exists():
        lines = failure.read_text(errors="backslashreplace").strip().splitlines()
        return "failed", (lines or ["no reason was recorded"])[-1]
    if (run.folder / "config.yaml").exists():
        return "stopped", f"stopped before it was done; resume={run.folder.parent} runs it again"
    return "waiting", ""


def caution_reasons(metrics: Metrics) -> str:
    """Return every reason for refusal or caution of a job once, first the reasons for refusal."""
    reasons = [
        reason
        for verdict in ("refused", "caution")
        for row in metrics.values()
        if row["verdict"] == verdict
        for reason in reasons_of(row)
    ]
    return "; ".join(dict.fromkeys(filter(None, reasons)))


def add_scores(verb: str, keys: list[str], members: list[Member]) -> tuple[str, list[Member]]:
    """Return the name of the score that ranks the jobs, and the jobs with scores. Jobs on unequal data get no score."""
    if verb in COMPARED_WITH_DATA and any(key.partition(".")[0] in DATA_KEYS for key in keys):
        return "", members
    for name in RANKED_BY[verb]:
        scores = [score(verb, each, name) for each in members]
        if any(value is not None for value in scores):
            pairs = zip(members, scores, strict=True)
            return name, [dataclasses.replace(each, score=value) for each, value in pairs]
    return "", members


def score(verb: str, member: Member, name: str) -> float | None:
    """Return the score of a job; for training the score of the best checkpoint, or None if its loss is refused."""
    if verb != "train":
        value = member.metrics.get(name, {}).get("value")
        return float(value) if isinstance(value, int | float) else None
    if member.status != "done" or member.verdict == "refused":
        return None
    try:
        return best_score(Run(member.folder), name)
    except InputError:
        return None


def rank_members(sweep: Sweep) -> list[Member]:
    """Rank the combinations by their mean scores, if all of their jobs have a score. Return the jobs with the ranks."""
    combinations = cells(sweep.members, sweep.axes)
    scores = {key: [each.score for each in members if each.score is not None] for key, members in combinations.items()}
    sign = -1 if sweep.by in HIGHER_IS_BETTER else 1
    complete = [key for key, members in combinations.items() if len(scores[key]) == len(members)]
    ranked = {each.number: each for each in sweep.members}
    for rank, key in enumerate(sorted(complete, key=lambda key: sign * mean(scores[key])), 1):
        error = stdev(scores[key]) / len(scores[key]) ** 0.5 if len(scores[key]) > 1 else None
        for each in combinations[key]:
            ranked[each.number] = dataclasses.replace(each, rank=rank, mean_score=mean(scores[key]), score_error=error)
    return list(ranked.values())


def cells(members: list[Member], keys: list[str]) -> dict[tuple[str, ...], list[Member]]:
    """Return the jobs of each combination of the values of `keys`, in the order of the jobs."""
    found: dict[tuple[str, ...], list[Member]] = {}
    for each in members:
        found.setdefault(tuple(each.values.get(key, "") for key in keys), []).append(each)
    return found
