"""Test a sweep's picture: its axes, the means over seeds, and the frame around the best combination."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle

from ebm_cli.report.sweep_figure import sweep_figure
from ebm_cli.report.sweep_members import Member, Sweep, rank_members
from ebm_cli.report.sweep_table import notes

T, LR, WIDTH = "sampler.temperature", "optimizer.lr", "energy.width"
VALUES = {T: ["2", "0.5", "1"], LR: ["0.1", "0.001"], WIDTH: ["8", "16"], "seed": ["0", "1", "2"]}


def loss(values: dict[str, str]) -> float:
    """Return a number that differs in every job. Its mean over seeds 0, 1, 2 is the number of seed 1."""
    return sum(float(value) * scale for value, scale in zip(values.values(), (1, 100, 7, 0.5), strict=False))


def made(keys: list[str], refused: int = -1) -> Sweep:
    """A training sweep over `keys`, ranked by its score, the loss above; one job may be refused."""
    members = []
    for number, values in enumerate(itertools.product(*(VALUES[key] for key in keys))):
        words = dict(zip(keys, values, strict=True))
        value = None if number == refused else loss(words)
        row = {"value": value, "se": 0.25, "verdict": "ok" if value is not None else "refused", "reason": "chains left"}
        reason = "" if value is not None else "chains left"
        members.append(Member(number, Path("none"), words, "done", reason, {"loss": row}, score=value))
    sweep = Sweep("train", keys, members, "sample_mmd")
    return Sweep("train", keys, rank_members(sweep), "sample_mmd")


def test_over_one_axis_numbers_stand_at_their_values_with_two_standard_errors() -> None:
    drawn, caption = sweep_figure(made([T])) or pytest.fail("nothing is drawn")
    panel = next(axes for axes in drawn.axes if axes.get_ylabel() == "loss")
    line = next(line for line in panel.lines if len(line.get_xdata()) == 3)
    assert list(line.get_xdata()) == [0.5, 1, 2] and list(line.get_ydata()) == [0.5, 1, 2]
    assert panel.get_xlabel() == "temperature"
    bars = [path.vertices[:, 1] for each in panel.collections for path in each.get_paths()]
    assert sorted(bar.tolist() for bar in bars) == [[0, 1], [0.5, 1.5], [1.5, 2.5]]
    assert T in caption and "seeds" not in caption


@pytest.mark.parametrize("values", [list(range(1, 20)), [1, 2, 4, 8, 16], [0.1 * i for i in range(11)]])
def test_labels_of_an_axis_of_numbers_do_not_overlap(values: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VALUES, T, [f"{value:g}" for value in values])
    drawn, _ = sweep_figure(made([T])) or pytest.fail("nothing is drawn")
    FigureCanvasAgg(drawn).draw()
    for panel in (axes for axes in drawn.axes if axes.get_xlabel() == "temperature"):
        labels = [label for label in panel.get_xticklabels() if label.get_text()]
        boxes = [label.get_window_extent() for label in labels]
        assert len(labels) >= 4 and len(panel.get_xticks()) == len(values)
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_with_seeds_a_point_is_their_mean_with_the_error_between_them() -> None:
    drawn, caption = sweep_figure(made([T, "seed"])) or pytest.fail("nothing is drawn")
    panel = next(axes for axes in drawn.axes if axes.get_ylabel() == "loss")
    line = next(line for line in panel.lines if len(line.get_xdata()) == 3)
    # loss = T + 100 seed: three seeds at 0, 100, 200 above T.
    assert np.allclose(line.get_ydata(), [100.5, 101, 102])
    bars = [path.vertices[:, 1] for each in panel.collections for path in each.get_paths()]
    assert np.allclose([np.ptp(bar) for bar in bars], 4 * 100 / 3**0.5)
    assert "means over seeds" in caption


def test_over_two_axes_numbers_are_colors_and_the_best_is_framed() -> None:
    drawn, _ = sweep_figure(made([T, LR, "seed"], refused=0)) or pytest.fail("nothing is drawn")
    panel = next(axes for axes in drawn.axes if axes.get_title() == "best checkpoint's MMD²")
    rows, columns = [0.5, 1, 2], [0.001, 0.1]
    expected = np.array([[t + 100 * lr + 7 for lr in columns] for t in rows])
    # Of the first combination (T = 2, lr = 0.1) the job of seed 0 is refused: two of three are left.
    expected[2, 1] += 3.5
    assert np.allclose(panel.images[0].get_array(), expected)
    assert [text.get_text() for text in panel.get_yticklabels()] == ["0.5", "1", "2"]
    assert [text.get_text() for text in panel.get_xticklabels()] == ["0.001", "0.1"]
    assert [text.get_text() for text in panel.texts if "2 of 3" in text.get_text()]
    frames = [patch for patch in panel.patches if isinstance(patch, Rectangle)]
    assert [frame.get_xy() for frame in frames] == [(-0.5, -0.5)]


def test_a_caption_explains_the_marks_that_its_cells_can_have() -> None:
    explained = "2 of 3 that two of a cell's three jobs have a number"
    for keys, may_be_part in (([LR, T], False), ([LR, T, "seed"], True)):
        _, caption = sweep_figure(made(keys)) or pytest.fail("nothing is drawn")
        assert "? is caution, – refused" in caption and (explained in caption) == may_be_part


def test_of_more_axes_the_two_with_the_most_values_are_drawn_and_the_caption_says_so() -> None:
    drawn, caption = sweep_figure(made([LR, WIDTH, T])) or pytest.fail("nothing is drawn")
    panel = next(axes for axes in drawn.axes if axes.get_title() == "loss")
    assert panel.images[0].get_array().shape == (2, 3)
    assert f"over {LR} and {T}" in caption and f"means over {WIDTH} (the two keys with the most values" in caption


def test_combinations_are_ranked_by_the_mean_over_seeds_and_none_with_a_refused_job() -> None:
    sweep = made([T, LR, "seed"], refused=0)
    ranks = {(each.values[T], each.values[LR]): each.rank for each in sweep.members}
    assert ranks[("2", "0.1")] is None
    others = sorted((key for key in ranks if ranks[key]), key=lambda key: float(key[0]) + 100 * float(key[1]))
    assert [ranks[key] for key in others] == [1, 2, 3, 4, 5]
    best = next(each for each in sweep.members if each.rank == 1)
    assert best.mean_score == pytest.approx(0.5 + 0.1 + 7) and best.score_error == pytest.approx(7 / 3**0.5)
    assert "best sampler.temperature=0.5 optimizer.lr=0.001" in notes(sweep)[0]
    assert notes(sweep)[1:] == ["job 0 refused: chains left"]
