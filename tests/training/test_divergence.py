"""A healthy run gets no warning of divergence. Otherwise each warning is one line and is given once."""

import pytest
import torch

from ebm_cli.training.divergence import WARNINGS, DivergenceWarnings, has_grown
from tests.contract import build


def new_warnings() -> DivergenceWarnings:
    return DivergenceWarnings(build("data", "gaussians_8", {"n": 500}))


def messages_for(rows: list[dict[str, float]]) -> list[str]:
    warnings = new_warnings()
    return [message for step, row in enumerate(rows) for message in warnings.add(step, row)]


def healthy(i: int) -> dict[str, float]:
    """Return row i of a run without divergence: small noise, and a slow trend that is not exponential."""
    return {
        "gap": (-1) ** i * 0.3,
        "e_data": -3.0 - 0.01 * i,
        "input_grad_norm": 2.0 + 0.01 * i,
        "acceptance": 0.7,
        "outside": 0.0,
    }


def test_a_healthy_run_is_not_disturbed() -> None:
    assert messages_for([healthy(i) for i in range(300)]) == []


def test_growth_of_energies_at_the_start_gives_no_warning() -> None:
    assert messages_for([healthy(i) | {"e_data": -3.0 * min(i, 20) / 20} for i in range(100)]) == []


def test_each_warning_is_given_once_with_a_remedy() -> None:
    for name, value in (
        ("gap", -80.0),
        ("e_data", 900.0),
        ("input_grad_norm", 50.0),
        ("acceptance", 0.01),
        ("outside", 0.4),
    ):
        messages = messages_for([healthy(i) if i < 60 else healthy(i) | {name: value} for i in range(100)])
        assert len(messages) == 1, (name, messages)
        # A warning must apply to three successive rows: 60, 61 and 62.
        assert messages[0].startswith("warning at step 62") and "usually helps" in messages[0]
        assert "\n" not in messages[0]


def test_one_unusual_row_gives_no_warning() -> None:
    for name in WARNINGS:
        value = 0.01 if name == "acceptance" else 500.0
        assert messages_for([healthy(i) | ({name: value} if i == 60 else {}) for i in range(100)]) == []


def test_slow_exponential_growth_gives_a_warning_before_numbers_overflow() -> None:
    messages = messages_for([healthy(i) if i < 60 else healthy(i) | {"gap": 0.3 * 1.3 ** (i - 60)} for i in range(120)])
    assert len(messages) == 1 and "gap" in messages[0]


def test_a_quantity_that_a_run_lacks_gives_no_warning() -> None:
    assert messages_for([{"e_data": -3.0} for _ in range(100)]) == []
    assert not has_grown("gap")({}, {})


def test_outside_is_the_fraction_of_states_beyond_twice_the_largest_distance_of_the_data() -> None:
    warnings = new_warnings()
    rows = warnings.data.split("train").x
    furthest = (rows - rows.mean(0)).norm(dim=1).max()
    direction = torch.tensor([[1.0, 0.0]])
    near, far = rows.mean(0) + 1.9 * furthest * direction, rows.mean(0) + 2.1 * furthest * direction
    assert warnings.outside(torch.cat([near, far, far, rows[:1]])) == 0.5


def rows_of_run(count: int = 30, **last: float) -> list[dict[str, float]]:
    """Return the logged rows of a healthy run. In the last tenth of them, `last` replaces values."""
    calm = {"loss": 0.1, "e_data": -3.0, "e_model": -3.1, "gap": -0.1, "acceptance": 0.8, "outside": 0.0}
    rows = [calm | {"step": float(10 * i), "chain_distance": 0.5} for i in range(count)]
    return rows[: -count // 10] + [row | last for row in rows[-count // 10 :]]


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ({"outside": 0.2}, "20% of the chains are more than twice as far"),
        ({"acceptance": 0.01}, "acceptance 0.01"),
        ({"chain_distance": 1e-5}, "do not move (1e-05"),
        ({"gap": 500.0}, "differ by 500, more than 20 T"),
        ({"gap": -500.0}, "differ by -500"),
    ],
)
def test_a_run_that_ends_badly_is_refused_with_its_reason(last: dict[str, float], reason: str) -> None:
    verdict, reasons = DivergenceWarnings(build("data", "two_moons")).verdict(rows_of_run(**last), 1.0, has_chains=True)
    assert verdict == "refused" and reason in "; ".join(reasons)


def test_a_good_run_is_ok_and_a_run_with_warnings_is_under_caution() -> None:
    warnings = DivergenceWarnings(build("data", "two_moons"))
    assert warnings.verdict(rows_of_run(), 1.0, has_chains=True) == ("ok", [])
    rows = rows_of_run(60)
    for row in rows[30:35]:
        row["acceptance"] = 0.01
    verdict, reasons = warnings.verdict(rows, 1.0, has_chains=True)
    assert verdict == "caution" and "hardly move" in reasons[0]
    # The verdict replays the rows in an object of its own, so that it uses up no warning of this one.
    assert warnings.given == set() and warnings.rows == []


def test_a_gap_is_measured_in_units_of_temperature() -> None:
    warnings = DivergenceWarnings(build("data", "two_moons"))
    # The growth of the gap is still a warning.
    assert warnings.verdict(rows_of_run(gap=90.0), 10.0, has_chains=True)[0] == "caution"
    assert warnings.verdict(rows_of_run(gap=90.0), 1.0, has_chains=True)[0] == "refused"


def test_chains_that_never_ran_are_refused_however_short_the_run() -> None:
    rows = [{"step": 1.0, "loss": 0.0, "e_data": 0.3}]
    warnings = DivergenceWarnings(build("data", "two_moons"))
    verdict, reasons = warnings.verdict(rows, 1.0, has_chains=True)
    assert verdict == "refused" and "no chain of the model ever moved" in reasons[0]
    assert warnings.verdict(rows, 1.0, has_chains=False) == ("ok", [])
