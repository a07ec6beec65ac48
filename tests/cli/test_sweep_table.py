"""sweep.csv: one value per cell, each job's own seed, ranks and reasons; one progress line for all jobs."""

from pathlib import Path
from statistics import mean

import pytest
import yaml

from ebm_cli.cli import main
from ebm_cli.cli.console import ConsoleTerminal, print_rows
from ebm_cli.cli.sweep_plan import create_sweep, new_plan
from ebm_cli.cli.sweep_progress import JobTerminal
from ebm_cli.cli.words import parse
from ebm_cli.run.folder import Run
from tests.contract import sweep_rows
from tests.report.read_page import texts

pytestmark = pytest.mark.usefixtures("here")

T = "sampler.temperature"
TRAIN = ["data=two_moons", "experiment=null", "energy.width=8", "trainer.steps=4", "trainer.checkpoint_every=2"]
SMALL = ["trainer.batch_size=16", "start.size=32", "objective.steps=1", "trainer.keep=1", "threads=1"]
SHORT = ["energy=double_well", "chains=2", "steps=4", "thin=1", "burn_in=0", "threads=1"]


def seeds(folder: Path) -> list[int]:
    """The seeds that the jobs of a sweep ran with."""
    return [Run(folder / row["job"]).config()["seed"] for row in sweep_rows(folder)]


def test_training_jobs_are_ranked_by_their_best_checkpoint_over_seeds(here: Path, capsys) -> None:
    words = [f"{T}=0.5,2", "seed=3,4"]
    assert main(["train", "-m", *TRAIN, *SMALL, *words, "out=s"]) == 0
    rows = sweep_rows(here / "s")
    scores: dict[str, list[float]] = {}
    for number, row in enumerate(rows):
        run = Run(here / "s" / row["job"])
        kept = {step["step"]: step["sample_mmd"] for step in run.history() if "sample_mmd" in step}
        best = min(kept[step] for step in run.steps())
        assert row["job"] == str(number) and float(row["score"]) == best and row["score_name"] == "sample_mmd"
        assert run.checkpoint("best").name == f"step-{min(run.steps(), key=kept.__getitem__)}"
        scores.setdefault(row[T], []).append(best)
    order = sorted(scores, key=lambda key: mean(scores[key]))
    assert [int(row["rank"]) for row in rows] == [order.index(row[T]) + 1 for row in rows]
    assert seeds(here / "s") == [int(row["seed"]) for row in rows] == [3, 4] * 2
    shown = capsys.readouterr()
    assert "1 (best)" in shown.out and f"best {T}={order[0]}, " in shown.out
    assert "job 0 of 4" in shown.err and "job 3 of 4" in shown.err and "job 4" not in shown.err
    assert len(texts((here / "s" / "report.html").read_text(), "tr", "best")) == 2


def test_each_job_has_a_seed_of_its_own_that_resume_keeps_unless_one_is_typed(here: Path) -> None:
    folder = create_sweep(new_plan("sample", parse([*SHORT, f"{T}=1,2,4"])), parse(["out=s"]))
    plan = yaml.safe_load((folder / "sweep.yaml").read_text())
    assert [job[-1] for job in plan["jobs"]] == ["seed=0", "seed=1", "seed=2"]
    assert main(["sample", "resume=s"]) == 0
    assert seeds(here / "s") == [int(row["seed"]) for row in sweep_rows(here / "s")] == [0, 1, 2]
    assert main(["sample", "-m", *SHORT, f"{T}=1,2", "seed=7", "out=t"]) == 0
    assert seeds(here / "t") == [int(row["seed"]) for row in sweep_rows(here / "t")] == [7, 7]


def test_cells_hold_one_value_and_rows_give_the_reason_of_a_refusal(here: Path) -> None:
    still = ["sampler=sgld", "sampler.step_size=1e-6", "start.scale=3"]
    assert main(["sample", "-m", *SHORT, *still, f"{T}=1,2", "out=s"]) == 0
    for row in sweep_rows(here / "s"):
        metrics = Run(here / "s" / row["job"]).metrics()
        assert row["verdict"] == "refused" and metrics["mixing"]["reason"].split("; ")[0] in row["reason"]
        assert row["rank"] == "" and not [cell for cell in row.values() if cell.startswith("[")]
        for name, metric in metrics.items():
            if isinstance(metric["value"], int | float):
                assert float(row[f"{name}_value"]) == metric["value"]


def test_jobs_on_other_data_are_not_ranked(here: Path, capsys) -> None:
    words = [word for word in TRAIN if not word.startswith("data=")]
    assert main(["train", "-m", *words, *SMALL, "data=two_moons,rings", "out=s"]) == 0
    assert [(row["rank"], row["score_name"]) for row in sweep_rows(here / "s")] == [("", "")] * 2
    assert "best" not in capsys.readouterr().out


def test_no_number_is_cut_and_columns_without_room_are_named(capsys) -> None:
    header = ["job", "sampler", *(f"number_{i}" for i in range(12))]
    rows = [["0", "mala", *(f"{i}.2345 ± 0.0067 ?" for i in range(12))]]
    print_rows(header, rows)
    table, _, note = capsys.readouterr().out.rpartition("no room for ")
    for name, cell in zip(header, rows[0], strict=True):
        shown = cell.split()[0] in table
        assert (name in table) == shown and (name in note.split(":")[0].split(", ")) != shown
    assert note.endswith("sweep.csv has them\n") and "number_0" in table and "number_11" in note


def test_one_progress_line_covers_the_whole_sweep() -> None:
    shown: list[float] = []
    terminal = JobTerminal(ConsoleTerminal(), lambda done, **_: shown.append(done), done=2)
    for total in (10, None, 4):
        with terminal.task("part", total) as tick:
            for done in range(1, (total or 3) + 1):
                tick(done)
    assert shown == sorted(shown) and 2 < shown[0] < shown[9] < shown[-1] < 3
