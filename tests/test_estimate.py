"""An estimate has a value exactly when it is not refused, and shows as many digits as its error allows."""

import json

import pytest

from ebm_cli.estimate import Estimate, apply_mixing_verdict, from_json, refused, show


def test_a_refused_estimate_has_no_value_and_any_other_has_one() -> None:
    with pytest.raises(ValueError, match="refused"):
        Estimate(1.0, verdict="refused", reasons=("why",))
    with pytest.raises(ValueError, match="refused"):
        Estimate(None)


def test_doubt_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="needs a reason"):
        Estimate(1.0, verdict="caution")
    with pytest.raises(ValueError, match="needs a reason"):
        refused("")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, float("nan")]])
def test_a_value_that_is_not_finite_is_no_value(value: float | list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        Estimate(value)


def test_doubts_add_up_and_leave_a_refusal_alone() -> None:
    assert Estimate(1.0).with_caution([]) == Estimate(1.0)
    twice = Estimate(1.0).with_caution(["few draws"]).with_caution(["stuck"])
    assert (twice.verdict, twice.reason, twice.value) == ("caution", "few draws; stuck", 1.0)
    assert twice.with_caution(["few draws"]) == twice
    # A reason is never split: two reasons that share a clause are two reasons.
    assert Estimate(1.0).with_caution(["a; b"]).with_caution(["b"]).reasons == ("a; b", "b")
    assert refused("no data").with_caution(["stuck"]) == refused("no data")


def test_json_keeps_the_value_and_leaves_out_what_is_not_there() -> None:
    assert refused("no data").to_json() == {"value": None, "verdict": "refused", "reason": "no data"}
    assert Estimate(1.0, se=0.1, unit="nat").to_json()["se"] == 0.1


@pytest.mark.parametrize(
    ("value", "se", "shown"),
    [
        (1.23456, 0.0123, "1.235 ± 0.012"),
        (123.456, 23.0, "123 ± 23"),
        (1.23456, None, "1.235"),
        (1.0, 0.0, "1"),
        (-99999999.081061, None, "-99999999.08"),
        (-99999999.081061, 1e-9, "-99999999.08 ± 1e-09"),
        (-99999999.081061, 0.01, "-99999999.081 ± 0.010"),
        (12000.0, None, "12000"),
        (1e20, None, "1e+20"),
        (None, None, "–"),
        ([], None, "none"),
        ([2.0], None, "2"),
        ([1.0, 2.0], [0.1, 0.2], "1.00 ± 0.10, 2.00 ± 0.20"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], None, "1, 2, 3, 4, …"),
    ],
)
def test_a_value_shows_two_digits_of_its_error(
    value: float | list[float] | None, se: float | list[float] | None, shown: str
) -> None:
    assert show(value, se) == shown


@pytest.mark.parametrize("mixing", ["ok", "caution", "refused"])
@pytest.mark.parametrize("flag", ["kept", "caution", "refused"])
def test_a_number_says_itself_what_becomes_of_it_if_chains_are_not_mixed(mixing: str, flag: str) -> None:
    verdict = {
        "ok": Estimate(1.0),
        "caution": Estimate(1.0).with_caution(["short"]),
        "refused": refused("R̂ = 2"),
    }[mixing]
    rows = apply_mixing_verdict({"any_name": Estimate(3.0, se=0.1, if_not_mixed=flag), "mixing": verdict})
    expected = "ok" if flag == "kept" or mixing == "ok" else "refused" if flag == mixing == "refused" else "caution"
    assert rows["any_name"].verdict == expected and rows["mixing"] == verdict
    if expected != "ok":
        assert verdict.reason in rows["any_name"].reason


def test_a_row_comes_back_from_json_as_it_went() -> None:
    for row in (Estimate(1.0, se=0.1, unit="nats", meaning="good"), refused("no data"), Estimate([1.0, 2.0])):
        assert from_json(json.loads(json.dumps(row.to_json()))) == row
