"""The rate warms up and decays at absolute steps, for every optimizer and after any extensions of a run."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from ebm_cli.check import InputError
from tests.contract import build, options

OPTIMIZERS = pytest.mark.parametrize("name", options("optimizer"))


def rates(name: str, changes: dict[str, Any], steps: int, pause: int | None = None) -> list[float]:
    """The rate of each training step, the run saved and resumed after step `pause`."""
    recipe = build("optimizer", name, {"lr": 0.5} | changes)

    def begin() -> tuple:
        optimizer = recipe.build([torch.nn.Parameter(torch.zeros(2))])
        return optimizer, recipe.schedule(optimizer)

    optimizer, schedule = begin()
    found = []
    for step in range(1, steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
        if step == pause:
            saved = optimizer.state_dict(), schedule.state_dict()
            optimizer, schedule = begin()
            optimizer.load_state_dict(saved[0])
            schedule.load_state_dict(saved[1])
    return found


@OPTIMIZERS
def test_the_rate_rises_over_the_warm_up_and_stays(name: str) -> None:
    found = rates(name, {"warmup": 4, "decay": "constant"}, 7)
    assert found == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5, 0.5, 0.5])


@OPTIMIZERS
def test_cosine_falls_from_the_warm_ups_end_to_its_factor_at_decay_at(name: str) -> None:
    found = rates(name, {"warmup": 2, "decay": "cosine", "decay_at": 10, "decay_factor": 0.2}, 14)
    falling = [0.5 * (0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi * (t - 2) / 8))) for t in range(2, 11)]
    assert found == pytest.approx([0.25, *falling, *[0.1] * 4])


@OPTIMIZERS
def test_step_falls_at_its_absolute_step(name: str) -> None:
    found = rates(name, {"warmup": 0, "decay": "step", "decay_at": 5, "decay_factor": 0.1}, 8)
    assert found == pytest.approx([0.5] * 4 + [0.05] * 4)


@OPTIMIZERS
@pytest.mark.parametrize("decay", ["constant", "cosine", "step"])
def test_a_restart_is_the_same_schedule_again_at_its_factor(name: str, decay: str) -> None:
    changes = {"warmup": 2, "decay": decay, "decay_factor": 0.2}
    first, second = rates(name, changes | {"decay_at": 6}, 6), rates(name, changes | {"decay_at": 10}, 14)
    both = changes | {"decay_at": 16, "restart_at": 6, "restart_factor": 0.3}
    found = rates(name, both, 20)
    assert found == pytest.approx(first + [0.3 * rate for rate in second])
    assert rates(name, both, 20, pause=8) == found


@OPTIMIZERS
def test_a_restart_after_the_end_of_the_decay_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^restart_at must be < decay_at = 10, got 10"):
        build("optimizer", name, {"decay_at": 10, "restart_at": 10})


@OPTIMIZERS
@pytest.mark.parametrize("decay", ["cosine", "step"])
def test_extending_a_run_does_not_move_its_rates(name: str, decay: str) -> None:
    changes = {"warmup": 3, "decay": decay, "decay_at": 10, "decay_factor": 0.2}
    once = rates(name, changes, 15)
    assert rates(name, changes, 6) == once[:6]
    assert rates(name, changes, 15, pause=6) == once


@pytest.mark.parametrize("betas", [[0.9], [0.9, 0.99, 0.999]])
@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_betas_are_two(name: str, betas: list[float]) -> None:
    with pytest.raises(InputError, match=r"^betas must be "):
        build("optimizer", name, {"betas": betas})


def test_weights_decay_and_a_trained_log_z_does_not() -> None:
    weights, log_z = nn.Parameter(torch.ones(3)), nn.Parameter(torch.tensor(50.0))
    optimizer = build("optimizer", "adamw", {"weight_decay": 0.5, "lr": 0.1, "decay_at": 10}).build([weights, log_z])
    (0 * weights.sum() + 0 * log_z).backward()
    optimizer.step()
    assert float(weights.detach().max()) == pytest.approx(0.95) and float(log_z.detach()) == 50
