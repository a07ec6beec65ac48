"""Test checkpoints: they keep all bits, damage is refused, and an interrupted save keeps the earlier checkpoint."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.objective import Objective
from ebm_cli.run import checkpoint
from ebm_cli.run.checkpoint import energy_weights, newest_checkpoint, read_checkpoint, write_checkpoint
from ebm_cli.run.folder import Run
from ebm_cli.training.state import TrainState
from tests.contract import build


class Counter(Objective):
    """An objective whose only state is a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("buffer", torch.zeros(3, 2))


def training(seed: int = 0) -> TrainState:
    """The state of a small run, some steps in."""
    energy = build("energy", "mlp", {"width": 3, "depth": 1}, event=(2,))
    recipe = build("optimizer", "adam")
    optimizer = recipe.build(energy.parameters())
    schedule = recipe.schedule(optimizer)
    average = torch.optim.swa_utils.AveragedModel(energy)
    return TrainState(energy, average, Counter(), optimizer, schedule, seed, "cpu")


def advance(state: TrainState, steps: int = 1) -> None:
    for _ in range(steps):
        x = torch.randn(5, 2, generator=state.generators["data"])
        state.optimizer.zero_grad()
        state.energy(x).sum().backward()
        state.optimizer.step()
        state.schedule.step()
        assert state.averaged is not None
        state.averaged.update_parameters(state.energy)
        state.objective.buffer.normal_(generator=state.generators["chains"])
        state.step += 1


def same(a: Any, b: Any) -> bool:
    """Return True if two trees have the same values of the same types with the same bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        bits = [t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (a, b)]
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(*bits)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def tree() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, generator=generator)
    return {
        "dtypes": {
            str(dtype): torch.randn(5, generator=generator).mul(9).to(dtype)
            for dtype in (
                torch.float32,
                torch.float64,
                torch.float16,
                torch.bfloat16,
                torch.int64,
                torch.uint8,
                torch.bool,
            )
        },
        "odd": {"nan": torch.tensor([torch.nan, -0.0, torch.inf]), "empty": torch.empty(0, 3), "zero": torch.tensor(2)},
        "tied": {"a": x, "b": x, "row": x[1], "transposed": x.T},
        "state": {0: {"step": torch.tensor(1.0)}, 7: {"step": None}},
        "plain": [1, 2.5, 1e-300, 0.1, True, None, "text", (1, [2, (3,)]), {}, [], float("inf")],
    }


def test_a_tree_is_read_with_the_same_bits(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, tree())
    assert same(read_checkpoint(tmp_path), tree())


def test_a_training_run_is_loaded_with_the_same_bits(tmp_path: Path) -> None:
    run, state = Run(tmp_path), training()
    advance(state, 3)
    folder = state.save(run)
    advance(state, 4)
    other = training(seed=5)
    other.load(folder)
    advance(other, 4)
    left, right = state.tree(), other.tree()
    for part in set(left) - {"global_generators"}:
        assert same(left[part], right[part]), part


def test_global_generators_are_loaded_too(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        state = training()
        folder = state.save(Run(tmp_path))
        expected = torch.randn(3)
        state.load(folder)
        assert torch.equal(torch.randn(3), expected)


def test_averaged_weights_are_distinguished_from_raw_weights(tmp_path: Path) -> None:
    state = training()
    advance(state, 3)
    folder = state.save(Run(tmp_path))
    assert same(energy_weights(folder, "raw"), dict(state.energy.state_dict()))
    assert same(energy_weights(folder, "averaged"), dict(state.averaged.module.state_dict()))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def one_bit_off(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def another_number(path: Path) -> None:
    changed = path.read_text().replace("2.5", "3.5")
    assert changed != path.read_text()
    path.write_text(changed)


def no_json_of_ours(path: Path) -> None:
    path.write_text('{"some": 1, "thing": 2}')


def no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


def one_key_too_many(path: Path) -> None:
    head = json.loads(path.read_text())
    path.write_text(json.dumps(head | {"state": {"dict": [], "list": []}}))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("state.safetensors", cut_short),
        ("state.safetensors", one_bit_off),
        ("state.safetensors", Path.unlink),
        ("state.json", cut_short),
        ("state.json", another_number),
        ("state.json", no_json_of_ours),
        ("state.json", no_text),
        ("state.json", one_key_too_many),
        ("state.json", Path.unlink),
    ],
)
def test_a_damaged_checkpoint_is_an_input_error_that_names_the_file(
    tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    write_checkpoint(tmp_path, tree())
    damage(tmp_path / name)
    with pytest.raises(InputError) as caught:
        read_checkpoint(tmp_path)
    assert str(tmp_path) in str(caught.value) and name in str(caught.value)


def test_a_checkpoint_of_a_newer_format_is_an_input_error(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, {})
    head = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps(head | {"format": 99}))
    with pytest.raises(InputError, match="format 99"):
        read_checkpoint(tmp_path)


def test_a_checkpoint_of_another_model_is_an_input_error(tmp_path: Path) -> None:
    folder = training().save(Run(tmp_path))
    other = training()
    other.energy = build("energy", "mlp", {"width": 4, "depth": 1}, event=(2,))
    with pytest.raises(InputError, match="does not fit"):
        other.load(folder)


@pytest.mark.parametrize("broken", ["write_checkpoint", "read_checkpoint", "replace_folder", "write_text"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_save_leaves_the_earlier_checkpoint_and_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, error: BaseException
) -> None:
    run, state = Run(tmp_path), training()
    advance(state)
    first = state.save(run)
    kept = read_checkpoint(first)
    advance(state)

    def interrupted(*args: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, broken, interrupted)
        with pytest.raises(type(error)):
            state.save(run)
    assert run.checkpoint("last") == first and same(read_checkpoint(first), kept)
    assert not list(run.checkpoints.glob(".aside-*"))
    assert state.save(run) == run.checkpoint("last") == run.checkpoints / "step-2"


def test_a_failed_rename_leaves_the_earlier_checkpoint_and_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, state = Run(tmp_path), training()
    first = state.save(run)
    advance(state)

    def failing(self: Path, target: Path) -> Path:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", failing)
        with pytest.raises(OSError, match="Input/output"):
            state.save(run)
    assert run.checkpoint("last") == first and run.steps() == [0]
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["last", "step-0"]


def test_resuming_passes_over_a_damaged_checkpoint_and_says_so(tmp_path: Path) -> None:
    run, state = Run(tmp_path), training()
    first = state.save(run)
    advance(state)
    one_bit_off(state.save(run) / "state.safetensors")
    folder, problems = newest_checkpoint(run)
    assert folder == first
    assert len(problems) == 1 and "step-1" in problems[0]


def test_nothing_is_resumed_when_no_checkpoint_is_whole(tmp_path: Path) -> None:
    run = Run(tmp_path)
    one_bit_off(training().save(run) / "state.safetensors")
    with pytest.raises(InputError, match="nothing to resume from"):
        newest_checkpoint(run)


def test_checkpoints_beyond_last_are_not_resumed(tmp_path: Path) -> None:
    run, state = Run(tmp_path), training()
    first = state.save(run)
    advance(state)
    state.save(run)
    (run.checkpoints / "last").write_text(first.name)
    assert newest_checkpoint(run) == (first, [])
