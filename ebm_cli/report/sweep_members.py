"""The jobs of a sweep as its folders hold them: what varies, how far each came, its numbers, its score and rank."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ebm_cli.check import InputError
from ebm_cli.run.folder import Run
from ebm_cli.run.scores import LIKELIHOOD, SCORE, best_score

Metrics = dict[str, dict[str, Any]]

SEED = "seed"
# What jobs are ranked by: the first that any of them has.
RANKED_BY = {
    "train": (LIKELIHOOD, SCORE),
    "sample": ("ess_bulk_min",),
    "evaluate": ("nll", "frechet_ratio", "tv", "mmd"),
    "diagnose": ("ess_per_gradient", "ess_bulk_min"),
}
HIGHER_IS_BETTER = ("ess_bulk_min", "ess_per_gradient")
# Verbs whose scores compare the model with data, and keys by which these are others.
COMPARED_WITH_DATA = ("train", "evaluate")
OF_DATA = ("data", "experiment")


@dataclass(frozen=True)
class Member:
    """One job. values: what was typed for each key that varies, and its seed. metrics: empty until it is done.

    score: what it is ranked by, None without one; mean_score and score_error: over the seeds of its combination.
    rank: of its combination from 1, None if it has none.
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
        """The worst verdict of its numbers, empty without any."""
        found = {row["verdict"] for row in self.metrics.values()}
        return next((verdict for verdict in ("refused", "caution", "ok") if verdict in found), "")


@dataclass(frozen=True)
class Sweep:
    """A verb's jobs. keys: those that vary. by: the name of what they are ranked by, empty for no ranking."""

    verb: str
    keys: list[str]
    members: list[Member]
    by: str

    @property
    def axes(self) -> list[str]:
        """The keys that are axes: all that vary but the seed, which repeats the others, unless it varies alone."""
        return [key for key in self.keys if key != SEED] or self.keys

    @property
    def has_replicates(self) -> bool:
        """Whether each combination was run with several seeds."""
        return self.axes != self.keys


def read_sweep(verb: str, keys: list[str], folder: Path, values: Sequence[dict[str, str]]) -> Sweep:
    """Read the jobs of the sweep in `folder`, job n with values[n], and rank them."""
    members = [member(folder / str(number), number, each) for number, each in enumerate(values)]
    by, scored = with_scores(verb, keys, members)
    sweep = Sweep(verb, keys, scored, by)
    return dataclasses.replace(sweep, members=ranked(sweep))


def member(folder: Path, number: int, values: dict[str, str]) -> Member:
    """One job as its folder holds it."""
    run = Run(folder)
    state, reason = status(run)
    metrics = run.metrics() if state == "done" else {}
    return Member(number, folder, values, state, reason or doubts(metrics), metrics)


def status(run: Run) -> tuple[str, str]:
    """How far a job has come, and why no further."""
    failure = run.folder / "failure.txt"
    if run.is_finished():
        try:
            run.whole_metrics()
        except InputError as error:
            return "damaged", error.messages[0]
        return "done", ""
    if failure.exists():
        lines = failure.read_text(errors="backslashreplace").strip().splitlines()
        return "failed", (lines or ["no reason is left"])[-1]
    if (run.folder / "config.yaml").exists():
        return "stopped", f"it was stopped before its end; resume={run.folder.parent} runs it again"
    return "waiting", ""


def doubts(metrics: Metrics) -> str:
    """Every reason to doubt a job's numbers once, those of refusals first."""
    reasons = [
        reason
        for verdict in ("refused", "caution")
        for row in metrics.values()
        if row["verdict"] == verdict
        for reason in str(row.get("reason", "")).split("; ")
    ]
    return "; ".join(dict.fromkeys(filter(None, reasons)))


def with_scores(verb: str, keys: list[str], members: list[Member]) -> tuple[str, list[Member]]:
    """The name of what jobs are ranked by, and the jobs with their scores; jobs on other data have none."""
    if verb in COMPARED_WITH_DATA and any(key.partition(".")[0] in OF_DATA for key in keys):
        return "", members
    for name in RANKED_BY[verb]:
        scores = [score(verb, each, name) for each in members]
        if any(value is not None for value in scores):
            pairs = zip(members, scores, strict=True)
            return name, [dataclasses.replace(each, score=value) for each, value in pairs]
    return "", members


def score(verb: str, member: Member, name: str) -> float | None:
    """What a job is ranked by: of training, the best checkpoint's score unless its loss is refused."""
    if verb != "train":
        value = member.metrics.get(name, {}).get("value")
        return float(value) if isinstance(value, int | float) else None
    if member.status != "done" or member.verdict == "refused":
        return None
    try:
        return best_score(Run(member.folder), name)
    except InputError:
        return None


def ranked(sweep: Sweep) -> list[Member]:
    """The jobs with the ranks of their combinations, by the mean over seeds; one with a job without score has none."""
    combinations = cells(sweep.members, sweep.axes)
    whole: dict[tuple[str, ...], list[float]] = {}
    for key, members in combinations.items():
        found = [each.score for each in members if each.score is not None]
        if len(found) == len(members):
            whole[key] = found
    sign = -1 if sweep.by in HIGHER_IS_BETTER else 1
    order = sorted(whole, key=lambda key: sign * mean(whole[key]))
    done: dict[int, Member] = {each.number: each for each in sweep.members}
    for rank, key in enumerate(order, 1):
        scores = whole[key]
        error = stdev(scores) / len(scores) ** 0.5 if len(scores) > 1 else None
        for each in combinations[key]:
            done[each.number] = dataclasses.replace(each, rank=rank, mean_score=mean(scores), score_error=error)
    return list(done.values())


def cells(members: list[Member], keys: list[str]) -> dict[tuple[str, ...], list[Member]]:
    """The jobs of each combination of the values of `keys`, in the order of the jobs."""
    found: dict[tuple[str, ...], list[Member]] = {}
    for each in members:
        found.setdefault(tuple(each.values.get(key, "") for key in keys), []).append(each)
    return found
