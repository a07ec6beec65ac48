"""The page of brackets: its exact values by other means, its judgments on planted answers, and its tables."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from scripts.bench import _bracket_page as page
from scripts.bench import _bracket_rivals, _plain_annealing, brackets
from scripts.bench._bracket_cases import CASES, GaussianBernoulli
from scripts.bench._bracket_row import judgment, measured_row
from scripts.hard_energies import LOG_2PI
from tests.contract import log_integral

# Cases whose coordinates beyond the first are standard normal, and the points that split the integral along the first.
SEPARABLE = {
    "equal Gaussians at 1 and −15": [-15.0, 1.0],
    "equal Gaussians at 1 and −15, 5-D": [-15.0, 1.0],
    "0.99 at 15, 0.01 at −15": [-15.0, 15.0],
    "0.99 at 15, 0.01 at −15, 5-D": [-15.0, 15.0],
    "0.99 at 40, 0.01 at −40": [-40.0, 40.0],
    "0.99 at 40, 0.01 at −40, 5-D": [-40.0, 40.0],
    "double well, tilted": [-1.0, 0.0, 1.0],
}
# Components of mixtures, as mean on each of the first two axes and standard deviation.
MIXTURES = {
    "a dent of sd 0.3, 12 away": [(0.0, 0.0, 1.0), (12.0, 0.0, 0.3)],
    "unequal mixture": [(0.0, 0.0, 1.0), (6.0, 0.0, 0.5), (0.0, -8.0, 2.0)],
}


def potential(name: str, x: Tensor) -> Tensor:
    """E of states in double precision."""
    with torch.no_grad():
        return CASES[name].energy().double()(x.double())


def test_every_case_has_states_of_its_size_and_a_finite_log_z() -> None:
    assert len(CASES) >= 10
    for name, case in CASES.items():
        assert potential(name, torch.zeros(3, case.d)).shape == (3,)
        assert math.isfinite(case.exact())


@pytest.mark.parametrize("name", SEPARABLE)
def test_log_z_is_the_integral_along_the_first_axis_times_gaussians(name: str) -> None:
    case, points = CASES[name], SEPARABLE[name]
    # The density on the axis is (2π)^½(d−1) times lower than its integral over the other coordinates.
    density = lambda t: math.exp(-potential(name, torch.tensor([[t] + [0.0] * (case.d - 1)])))  # noqa: E731
    found, _ = quad(density, points[0] - 9, points[-1] + 9, points=points, limit=200)
    assert case.exact() == pytest.approx(math.log(found) + (case.d - 1) / 2 * LOG_2PI, abs=1e-6)
    # The other coordinates are standard normal.
    x = torch.randn(50, case.d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first = torch.cat([x[:, :1], 0 * x[:, 1:]], 1)
    torch.testing.assert_close(potential(name, x) - potential(name, first), 0.5 * x[:, 1:].square().sum(1))


def test_muller_brown_and_a_small_rbm_agree_with_a_grid() -> None:
    found = log_integral(lambda x: -potential("Müller–Brown", x - torch.tensor([0.0, -0.5])), 2, 4.0, 601)
    assert CASES["Müller–Brown"].exact() == pytest.approx(found, abs=1e-5)
    machine = GaussianBernoulli(2, 3, 1.5).double()
    assert machine.log_z() == pytest.approx(log_integral(lambda x: -machine(x), 2, 15.0, 401), abs=1e-6)
    for name, hidden in (("RBM, 4 hidden units", 4), ("RBM, 10 hidden units", 10)):
        energy = CASES[name].energy()
        assert isinstance(energy, GaussianBernoulli) and energy.get_buffer("W").shape == (hidden, CASES[name].d)
        assert CASES[name].exact() == energy.log_z()


@pytest.mark.parametrize("name", MIXTURES)
def test_log_z_of_a_mixture_is_that_of_draws_from_its_components(name: str) -> None:
    d, rng = CASES[name].d, torch.Generator().manual_seed(0)
    parts = [
        torch.distributions.Normal(torch.tensor([*at, *[0.0] * (d - 2)], dtype=torch.float64), std)
        for *at, std in MIXTURES[name]
    ]
    x = torch.cat([p.loc + p.scale * torch.randn(4000, d, generator=rng, dtype=torch.float64) for p in parts])
    log_q = torch.logsumexp(torch.stack([p.log_prob(x).sum(1) for p in parts]), 0) - math.log(len(parts))
    w = (-potential(name, x) - log_q).exp()
    assert abs(float(w.mean()) - math.exp(CASES[name].exact())) < 4 * float(w.std()) / len(x) ** 0.5


def test_a_dent_in_the_mode_holds_nine_tenths_and_tails_are_radial_integrals() -> None:
    inside = "a dent of sd 0.02 in the mode"
    x = 0.7 + 0.02 * torch.randn(2000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    log_q = -0.5 * ((x - 0.7) / 0.02).square().sum(1) - 5 * math.log(0.02) - 2.5 * LOG_2PI
    assert float((-potential(inside, x) - log_q).exp().mean()) == pytest.approx(9.0, abs=1e-3)
    assert CASES[inside].exact() == math.log(10)
    radial = lambda r: r**4 * math.exp(-potential("Student, ν = 3", torch.tensor([[r, 0.0, 0, 0, 0]])))  # noqa: E731
    area = 2 * math.pi**2.5 / math.gamma(2.5)
    assert CASES["Student, ν = 3"].exact() == pytest.approx(math.log(area * quad(radial, 0, math.inf)[0]), abs=1e-6)
    cauchy = lambda t: math.exp(-potential("Cauchy", torch.tensor([[t]])))  # noqa: E731
    assert CASES["Cauchy"].exact() == pytest.approx(math.log(2 * quad(cauchy, 0, math.inf)[0]), abs=1e-6)


def test_walls_enclose_their_volume_and_a_constant_shifts_log_z() -> None:
    x = torch.tensor([[0.99] * 5, [-0.99] * 5, [0.0, 0.0, 1.01, 0.0, 0.0]])
    assert potential("steep walls", x).tolist() == [0.0, 0.0, math.inf]
    assert CASES["steep walls"].exact() == 5 * math.log(2)
    assert potential("10⁷ + ‖x‖²/2", torch.ones(1, 5)).item() == 1e7 + 2.5
    assert CASES["10⁷ + ‖x‖²/2"].exact() + 1e7 == pytest.approx(2.5 * LOG_2PI, abs=1e-6)


def answer(lower: float | None, upper: float | None, verdict: str = "ok", value: float | None = 1.0) -> dict[str, Any]:
    planted = {"value": value, "lower": lower, "upper": upper, "verdict": verdict, "reason": ""}
    return {"energy": "planted", "tool": "ours", "seed": 0, "seconds": 1.0} | planted


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (answer(0.9, 1.1), "held"),
        (answer(1.0, 1.1), "held"),
        (answer(None, 1.1, "caution"), "held with caution"),
        (answer(1.01, 1.1), "excluded"),
        (answer(0.8, 0.99), "excluded"),
        (answer(None, 0.99), "excluded"),
        (answer(0.8, 0.99, "caution"), "excluded with caution"),
        (answer(None, None, "refused", None), "refused"),
        (answer(0.9, None, "refused", None), "refused"),
        (answer(1.1, None, "refused", None), "excluded"),
        (answer(None, 0.9, "refused", None), "excluded"),
        (answer(None, None, "failed", None), "failed"),
    ],
)
def test_an_answer_is_judged_by_its_bounds(row: dict[str, Any], expected: str) -> None:
    assert judgment(1.0, row) == expected


def test_exceptions_and_infinite_values_are_failures_with_their_reason() -> None:
    def broken(name: str, seed: int) -> dict[str, Any]:
        if seed:
            return answer(0.0, math.inf)
        raise ValueError("no support\nof many lines")

    for seed, reason in ((0, "ValueError: no support of many lines"), (1, "ArithmeticError: value 1.0")):
        row = measured_row("ours", broken, "funnel", seed)
        assert row["verdict"] == "failed" and row["value"] is None and row["lower"] is None
        assert row["reason"].startswith(reason)


def test_the_last_stage_of_each_run_counts_whether_or_not_runs_have_as_many_stages() -> None:
    equal = np.array([[math.nan, 1.0], [math.nan, 2.0]], dtype=object)
    unequal = np.empty((1, 2), dtype=object)
    unequal[0, 0], unequal[0, 1] = [math.nan, 1.0], [math.nan, math.nan, 2.0]
    assert _bracket_rivals.final_values(equal) == _bracket_rivals.final_values(unequal) == [1.0, 2.0]


def test_tables_and_bars_count_what_was_planted() -> None:
    exact = {"planted": 1.0}
    doubted = [answer(0.9, 1.1, "caution"), answer(0.8, 0.9, "caution"), answer(0.9, None, "refused", None)]
    rows = [answer(0.9, 1.1), answer(1.01, 1.1), *doubted]
    assert "| ours | 5 | 1 | 1 | 1 | 0 | 1 | 1 | 1 |" in page.summary(exact, rows, ["ours"])
    (line,) = (line for line in page.details(exact, {"planted": 2}, rows, ["ours"]) if "planted" in line)
    assert "held 1, held with caution 1, refused 1, **excluded 1**, **excluded with caution 1**" in line
    assert [each for each in page.exclusions(exact, rows) if "1.01 to 1.1, exact 1, ok" in each]
    assert page.seeds(rows, ["planted", "other"], ["ours", "plain"]) == "ours 0 to 5, plain 0"
    bars = brackets.bars(exact, rows)
    assert [bar.value for bar in bars] == [1, 5, 1] and bars[2].held == "no"
    assert brackets.bars(exact, rows[:1])[2].held == "yes"
    assert brackets.bars(exact, [])[2].held == "not measured"


def test_rows_are_written_at_once_and_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def run(name: str, seed: int) -> dict[str, Any]:
        calls.append(name)
        return {"value": 1.0, "lower": 0.0, "upper": 1.0, "verdict": "ok", "reason": ""}

    monkeypatch.setitem(brackets.HERE, "ours", run)
    place = tmp_path / "brackets.json"
    for _ in range(2):
        record = brackets.measured(place, ["funnel"], ["ours", "pymc"], 2, None)
    assert calls == ["funnel", "funnel"] and json.loads(place.read_text()) == record
    assert "Not run: plain, ebmkit, pymc. ebmkit and pymc need `--rivals`." in brackets.text({"funnel": 1.0}, record)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--only funel", "--only funel is in no name. The energies are "),
        ("--tools ours,plane", "--tools must be of ours,plain,ebmkit,pymc, got ours,plane"),
        ("--seeds 0", "--seeds must be >= 1, got 0"),
        ("--rivals no-such-python", "--rivals no-such-python is no interpreter"),
    ],
)
def test_a_wrong_word_is_named_and_no_page_is_written(
    words: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["brackets", *words.split(), "--out", str(tmp_path)])
    with pytest.raises(SystemExit):
        brackets.main()
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_the_plain_script_covers_a_shifted_gaussian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_plain_annealing, "TEMPERATURES", 200)

    class Shifted(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * (x - 0.5).square().sum(1)

    value, error = _plain_annealing.plain_annealing(Shifted(), 2, 0)
    assert error < 0.1 and abs(value - math.log(math.pi / 2)) < 4 * error
