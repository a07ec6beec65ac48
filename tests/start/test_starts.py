"""Starts: replay goes on where chains stopped, data begins at the batch, noise follows its law."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.start.replay import Replay
from tests.contract import build, moment_z_scores


def buffer(size: int = 8, restart: float = 0.0) -> Replay:
    return build("start", "replay", {"size": size, "restart": restart}, event=(2,))


def test_rows_written_back_are_the_ones_that_come_out_later(rng: torch.Generator) -> None:
    replay = buffer()
    begun = replay.draw(8, None, rng)
    moved = begun.x + 100
    replay.keep(begun, moved, steps=5)
    again = replay.draw(8, None, rng)
    assert begun.rows is not None and again.rows is not None
    torch.testing.assert_close(again.x[again.rows.argsort()], moved[begun.rows.argsort()], rtol=0, atol=0)


def test_ages_add_up_over_the_steps_that_each_row_took(rng: torch.Generator) -> None:
    replay, expected = buffer(), torch.zeros(8, dtype=torch.int64)
    for steps in (3, 4, 5):
        begun = replay.draw(5, None, rng)
        assert begun.rows is not None
        assert torch.equal(begun.age, expected[begun.rows])
        replay.keep(begun, begun.x, steps)
        expected[begun.rows] += steps
    assert torch.equal(replay.age, expected)


def test_rows_that_were_not_drawn_stay_as_they_are(rng: torch.Generator) -> None:
    replay = buffer()
    begun = replay.draw(3, None, rng)
    before = replay.x.clone()
    replay.keep(begun, begun.x + 100, steps=5)
    others = torch.ones(8, dtype=torch.bool)
    others[begun.rows] = False
    assert torch.equal(replay.x[others], before[others]) and (replay.x[begun.rows] > 50).all()


def test_no_row_is_drawn_twice_at_once(rng: torch.Generator) -> None:
    replay = buffer(size=50)
    for _ in range(10):
        rows = replay.draw(40, None, rng).rows
        assert rows is not None and len(rows.unique()) == 40


def test_restarted_rows_begin_at_noise_with_age_zero(rng: torch.Generator) -> None:
    replay = buffer(size=10_000, restart=0.1)
    first = replay.draw(10_000, None, rng)
    replay.keep(first, first.x + 100, steps=7)
    begun = replay.draw(10_000, None, rng)
    anew = begun.age == 0
    assert (begun.age[~anew] == 7).all()
    assert (begun.x[anew].abs() <= 1).all() and (begun.x[~anew] > 50).all()
    assert abs(anew.double().mean() - 0.1) < 4 * (0.1 * 0.9 / 10_000) ** 0.5


def test_a_buffer_begins_at_its_noise_with_age_zero(rng: torch.Generator) -> None:
    replay = build("start", "replay", {"size": 5000, "restart": 0.0, "scale": 3.0, "law": "normal"}, event=(2,))
    begun = replay.draw(5000, None, rng)
    z_mean, z_variance = moment_z_scores(begun.x, 0.0, 9.0)
    assert z_mean.max() < 4 and z_variance.max() < 4 and (begun.age == 0).all()


def test_a_saved_buffer_goes_on_with_its_rows_and_ages(rng: torch.Generator) -> None:
    replay, resumed = buffer(), buffer()
    begun = replay.draw(5, None, rng)
    replay.keep(begun, begun.x + 100, steps=5)
    resumed.load_state_dict(replay.state_dict())
    ours, theirs = (start.draw(8, None, torch.Generator().manual_seed(3)) for start in (replay, resumed))
    assert torch.equal(ours.x, theirs.x) and torch.equal(ours.age, theirs.age)
    assert (theirs.x > 50).any()


def test_more_chains_than_rows_are_refused(rng: torch.Generator) -> None:
    with pytest.raises(InputError, match=r"^size must be >= the number of chains 9, got 8"):
        buffer().draw(9, None, rng)


def test_data_start_is_the_batch_itself(rng: torch.Generator) -> None:
    data = build("data", "gaussians_8")
    start, batch = build("start", "data", data=data), Batch(torch.full((6, 2), 5.0))
    begun = start.draw(6, batch, rng)
    assert torch.equal(begun.x, batch.x) and (begun.age == 0).all() and begun.rows is None


def test_data_start_outside_training_draws_from_the_data(rng: torch.Generator) -> None:
    data = build("data", "gaussians_8")
    begun = build("start", "data", data=data).draw(6, None, torch.Generator().manual_seed(3))
    assert torch.equal(begun.x, data.sample(6, torch.Generator().manual_seed(3)).x)


@pytest.mark.parametrize(("law", "variance"), [("uniform", 3.0), ("normal", 9.0)])
def test_noise_follows_its_law(law: str, variance: float, rng: torch.Generator) -> None:
    start = build("start", "noise", {"law": law, "scale": 3.0}, event=(1, 2, 2))
    begun = start.draw(10_000, None, rng)
    z_mean, z_variance = moment_z_scores(begun.x, 0.0, variance)
    assert begun.x.shape == (10_000, 1, 2, 2) and (begun.age == 0).all()
    assert z_mean.max() < 4 and z_variance.max() < 4
    assert (begun.x.abs().max() <= 3) == (law == "uniform")


@pytest.mark.parametrize(("name", "value"), [("law", "cauchy"), ("scale", 0.0)])
def test_a_wrong_value_is_named(name: str, value: float | str) -> None:
    for start in ("noise", "replay"):
        with pytest.raises(InputError, match=f"^{name} must be "):
            build("start", start, {name: value}, event=(2,))
