"""Starts: replay continues chains, data starts at the batch, and noise has its distribution."""

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
    replay = build(
        "start", "replay", {"size": 5000, "restart": 0.0, "scale": 3.0, "distribution": "normal"}, event=(2,)
    )
    begun = replay.draw(5000, None, rng)
    z_mean, z_variance = moment_z_scores(begun.x, 0.0, 9.0)
    assert z_mean.max() < 4 and z_variance.max() < 4 and (begun.age == 0).all()


def test_a_buffer_begins_and_begins_anew_at_training_rows_where_it_is_told_to(rng: torch.Generator) -> None:
    data = build("data", "digits", {"noise": 0.01})
    replay = build("start", "replay", {"size": 300, "chain_init": "data", "restart": 0.5}, event=(1, 8, 8), data=data)
    rows = data.split("train").x.flatten(1)

    def at_data(x: torch.Tensor) -> torch.Tensor:
        return torch.cdist(x.flatten(1), rows).min(1).values < 0.2

    begun = replay.draw(300, None, rng)
    assert at_data(begun.x).all() and not torch.cdist(begun.x.flatten(1), rows).min(1).values.eq(0).any()
    replay.keep(begun, begun.x + 100, steps=5)
    again = replay.draw(300, None, rng)
    assert torch.equal(at_data(again.x), again.age == 0) and 0 < (again.age == 0).sum() < 300
    assert "start at noised training samples" in replay.policy(8, 20) and "restarts there" in replay.policy(8, 20)


def test_to_begin_at_data_needs_data() -> None:
    with pytest.raises(InputError, match=r"^chain_init must be "):
        build("start", "replay", {"chain_init": "anywhere"}, event=(2,))
    with pytest.raises(InputError, match=r"^chain_init=data needs data"):
        build("start", "replay", {"chain_init": "data"}, event=(2,))


def test_a_saved_buffer_goes_on_with_its_rows_and_ages(rng: torch.Generator) -> None:
    replay, resumed = buffer(), buffer()
    begun = replay.draw(5, None, rng)
    replay.keep(begun, begun.x + 100, steps=5)
    resumed.load_state_dict(replay.state_dict())
    ours, theirs = (start.draw(8, None, torch.Generator().manual_seed(3)) for start in (replay, resumed))
    assert torch.equal(ours.x, theirs.x) and torch.equal(ours.age, theirs.age)
    assert (theirs.x > 50).any()


def test_more_chains_than_rows_are_refused(rng: torch.Generator) -> None:
    with pytest.raises(InputError, match=r"^start.size must be >= the number of chains 9, got 8"):
        buffer().draw(9, None, rng)


def test_chains_at_the_age_limit_begin_anew(rng: torch.Generator) -> None:
    replay = build("start", "replay", {"size": 6, "restart": 0.0, "age_limit": 10}, event=(2,))
    for expected in (0, 5, 0, 5):
        begun = replay.draw(6, None, rng)
        assert (begun.age == expected).all() and ((begun.x.abs() <= 1).all(1) == (expected == 0)).all()
        replay.keep(begun, begun.x.sign() * 100, steps=5)


def pictures(rng: torch.Generator, **moves: float) -> tuple[torch.Tensor, torch.Tensor]:
    """What lies in a buffer of 3-channel pictures, and the same rows as they are drawn."""
    replay = build("start", "replay", {"size": 40, "restart": 0.0, **moves}, event=(3, 6, 5))
    first = replay.draw(40, None, rng)
    kept = torch.randn(40, 3, 6, 5, generator=rng)
    replay.keep(first, kept, steps=1)
    begun = replay.draw(40, None, rng)
    return replay.x[begun.rows], begun.x


def test_shifted_chains_are_the_same_pictures_moved_with_their_edges_repeated(rng: torch.Generator) -> None:
    before, after = pictures(rng, shift=1)
    padded = torch.nn.functional.pad(before, (1, 1, 1, 1), mode="replicate")
    shifts = [padded[:, :, y : y + 6, x : x + 5] for y in range(3) for x in range(3)]
    hits = torch.stack([(after == candidate).flatten(1).all(1) for candidate in shifts])
    assert (hits.sum(0) == 1).all() and hits.any(1).sum() > 5


def test_mirrored_chains_are_the_share_that_was_asked_for(rng: torch.Generator) -> None:
    before, after = pictures(rng, flip_probability=0.5)
    mirrored = (after == before.flip(3)).flatten(1).all(1)
    assert (mirrored | (after == before).flatten(1).all(1)).all()
    assert abs(int(mirrored.sum()) - 20) < 4 * 10**0.5


def test_jitter_adds_noise_of_its_size(rng: torch.Generator) -> None:
    before, after = pictures(rng, jitter_std=0.3)
    z_mean, z_variance = moment_z_scores((after - before).view(-1, 1), 0.0, 0.09)
    assert z_mean.max() < 4 and z_variance.max() < 4


@pytest.mark.parametrize("change", [{"shift": 1}, {"flip_probability": 0.5}])
def test_moves_of_pictures_are_refused_for_other_states(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"^{next(iter(change))} must be 0 unless states are pictures"):
        build("start", "replay", change, event=(2,))


@pytest.mark.parametrize("name", ["shift", "flip_probability", "jitter_std", "age_limit"])
def test_a_wrong_move_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"^{name} must be "):
        build("start", "replay", {name: -1}, event=(1, 4, 4))


def test_every_start_says_what_becomes_of_its_chains() -> None:
    replay = build("start", "replay", {"size": 256, "restart": 0.005, "shift": 2}, event=(1, 8, 8)).policy(128, 20)
    for word in ("256", "every 2 training steps", "4,000 kernel steps on average", "up to 2 pixels"):
        assert word in replay
    still = build("start", "replay", {"restart": 0}, event=(2,)).policy(128, 20)
    whole = build("start", "replay", {"size": 128}, event=(2,)).policy(128, 20)
    assert "each continues every training step and restarts" in whole
    assert "never restarts" in still and "before it continues" not in still
    assert "uniform noise on [−1, 1]" in build("start", "noise", event=(2,)).policy(8, 20)
    assert "CD-20" in build("start", "data", data=build("data", "gaussians_8")).policy(8, 20)


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
    start = build("start", "noise", {"distribution": law, "scale": 3.0}, event=(1, 2, 2))
    begun = start.draw(10_000, None, rng)
    z_mean, z_variance = moment_z_scores(begun.x, 0.0, variance)
    assert begun.x.shape == (10_000, 1, 2, 2) and (begun.age == 0).all()
    assert z_mean.max() < 4 and z_variance.max() < 4
    assert (begun.x.abs().max() <= 3) == (law == "uniform")


def with_replicas(replay: Replay, count: int, rng: torch.Generator) -> torch.Tensor:
    """Move some chains of a buffer, with this many replicas each; return their replicas."""
    begun = replay.draw(3, None, rng)
    moved = begun.x[:, None] + 100 * torch.arange(count).view(1, -1, 1)
    replay.keep_replicas(begun, moved, steps=5)
    assert replay.replicas is not None and torch.equal(replay.replicas[begun.rows], moved)
    return moved


def test_replicas_of_all_chains_are_as_many_as_those_of_the_last_ones(rng: torch.Generator) -> None:
    replay = buffer()
    with_replicas(replay, 4, rng)
    assert replay.replicas is not None and replay.replicas.shape == (8, 4, 2)
    before = replay.replicas.clone()
    begun = replay.draw(1, None, rng)
    replay.keep_replicas(begun, begun.x[:, None].expand(-1, 7, 2), steps=1)
    assert torch.equal(replay.x, replay.replicas[:, 0])
    # Seven replicas come from the four at about the same fraction of the path.
    others = [row for row in range(8) if begun.rows is not None and row not in begun.rows]
    assert torch.equal(replay.replicas[others], before[others][:, [0, 0, 1, 2, 2, 2, 3]])


def test_a_chain_that_restarts_has_all_its_replicas_at_its_new_state(rng: torch.Generator) -> None:
    replay = buffer(restart=1.0)
    with_replicas(replay, 4, rng)
    again = replay.draw(8, None, rng)
    assert again.replicas is not None and torch.equal(again.replicas, again.x[:, None].expand(-1, 4, 2))


def test_replicas_are_loaded_whatever_their_number(rng: torch.Generator) -> None:
    replay, other = buffer(), buffer()
    with_replicas(replay, 4, rng)
    with_replicas(other, 3, rng)
    other.load_state_dict(replay.state_dict())
    assert replay.replicas is not None and other.replicas is not None
    assert torch.equal(other.replicas, replay.replicas)
    other.load_state_dict(buffer().state_dict())
    assert other.replicas is None
