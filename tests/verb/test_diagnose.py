"""Diagnose: one set of chains has one verdict in all verbs, and a file of any origin is read or refused in one line."""

import json
from pathlib import Path

import numpy as np
import pytest

from ebm_cli.cli import main
from ebm_cli.mixing.record import read_record

# Two modes that no chain leaves.
STUCK = ["energy=gaussian_mixture", "energy.means=[[-5,0],[5,0]]", "energy.stds=[1,1]", "energy.weights=[0.3,0.7]"]


# Four chains of 400 independent draws: mixed.
X = np.random.default_rng(0).standard_normal((4, 400, 2))
# Four equal chains that stand still and end with NaN.
CONSTANT = np.where(np.arange(400)[:, None] > 300, np.nan, np.ones_like(X))


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def metrics(folder: str) -> dict[str, dict]:
    return json.loads((Path(folder) / "metrics.json").read_text())


def diagnose(run: str, out: str, *words: str) -> dict[str, dict]:
    """Return the metrics that `ebm diagnose` writes."""
    assert (
        main(["diagnose", f"run={run}", "diagnostic=[ess,r_hat,self_transition,autocorrelation]", f"out={out}", *words])
        == 0
    )
    return metrics(out)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param([*STUCK, "steps=300", "burn_in=50"], id="not mixed"),
        pytest.param(["energy=quadratic", "event=[2]", "steps=301", "thin=1", "burn_in=200"], id="odd number of draws"),
    ],
)
def test_diagnose_takes_over_what_sample_found(words: list[str]) -> None:
    assert main(["sample", *words, "chains=8", "sampler=mala", "out=s"]) == 0
    found = metrics("s")
    for run in ("s", "s/chains.nc"):
        again = diagnose(run, f"d-{Path(run).suffix[1:]}", "seed=7")
        assert again["mixing"] == found["mixing"]
        for name in ("r_hat_max", "ess_bulk_min"):
            assert again[name]["value"] == found[name]["value"]
            assert again[name]["verdict"] == found[name]["verdict"]
    # All rows that depend on mixing have its verdict, and all reasons give the same R̂.
    assert len({found[name]["verdict"] for name in ("mean", "std", "energy")}) == 1
    r_hat = found["r_hat_max"]["value"]
    for row in (*found.values(), *again.values()):
        for part in row["reason"].split("R̂ = ")[1:]:
            assert float(part.split()[0]) == pytest.approx(r_hat, rel=1e-3)


def test_the_record_is_used_until_the_chains_change() -> None:
    assert main(["sample", *STUCK, "chains=8", "sampler=sgld", "steps=300", "burn_in=50", "out=s"]) == 0
    record = json.loads(Path("s/mixing.json").read_text())
    # Other values than those of these chains, to show that they are read.
    record["verdict"] |= {"value": 1.0, "verdict": "ok", "reasons": ["first", "second"]}
    record["r_hat"] = dict.fromkeys(record["r_hat"], 1.5)
    ((draws, trace),) = record["hessian_traces"].items()
    record["hessian_traces"][draws] = {"squares": [6.0] * 8, "laplacians": [2.0] * 8}
    assert len(trace["squares"]) == 8
    Path("s/mixing.json").write_text(json.dumps(record))

    def diagnosed_values(out: str) -> tuple:
        words = "diagnostic=[r_hat,effective_temperature]"
        assert main(["diagnose", "run=s", words, f"out={out}"]) == 0
        rows = metrics(out)
        return rows["mixing"]["reason"], rows["r_hat_max"]["value"], rows["effective_temperature"]["value"]

    assert diagnosed_values("same") == ("first; second", 1.5, 3.0)
    with Path("s/chains.nc").open("ab") as file:
        file.write(b" ")
    reason, r_hat, temperature = diagnosed_values("changed")
    assert "first" not in reason and r_hat != 1.5 and temperature != 3.0


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"chains": 1}', '{"chains": null}'])
def test_a_damaged_record_is_ignored(damage: str) -> None:
    np.save("x.npy", X)
    (Path("mixing.json")).write_text(damage)
    assert read_record(Path("x.npy")) is None


@pytest.mark.parametrize("unit", [1e300, 1e-200])
def test_verdicts_and_values_do_not_depend_on_the_unit(unit: float) -> None:
    np.save("one.npy", X)
    np.save("far.npy", unit * X)
    one, far = diagnose("one.npy", "a"), diagnose("far.npy", "b")
    assert one["mixing"]["verdict"] == "ok"
    for name, row in one.items():
        assert far[name]["verdict"] == row["verdict"], name
        # pytest.approx does not take None, the value of a refused row.
        assert far[name]["value"] == (row["value"] and pytest.approx(row["value"], rel=1e-6)), name


@pytest.mark.parametrize("constant", [0, 1])
def test_chains_with_a_coordinate_that_never_moves_are_not_ok(constant: int) -> None:
    x = X.copy()
    x[:, :, constant] = 0.1
    np.save("x.npy", x)
    for name, row in diagnose("x.npy", "a").items():
        assert row["verdict"] != "ok", name
        assert name == "ess_per_gradient" or f"x[{constant}] never moved in any chain" in row["reason"]


@pytest.mark.parametrize(
    "x",
    [
        pytest.param(X[:1], id="one chain"),
        pytest.param(X[:, :1], id="one draw"),
        pytest.param(CONSTANT, id="all stand still"),
        pytest.param(np.full_like(X, np.inf), id="all infinite"),
        pytest.param(np.where(np.arange(4)[:, None, None] > 0, np.nan, X), id="one sound chain"),
    ],
)
def test_every_row_of_chains_without_information_is_refused(x: np.ndarray) -> None:
    np.save("x.npy", x)
    assert {row["verdict"] for row in diagnose("x.npy", "a").values()} == {"refused"}


@pytest.mark.parametrize(
    "x",
    [np.zeros(9), X > 0, X + 1j, np.full_like(X, np.nan), X[:0], X[:, :0]],
    ids=["one axis", "booleans", "complex", "all NaN", "no chains", "no draws"],
)
def test_an_array_that_is_not_chains_is_refused_in_one_line(x: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("x.npy", x)
    assert main(["diagnose", "run=x.npy"]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and error[0].startswith("error: run=")
