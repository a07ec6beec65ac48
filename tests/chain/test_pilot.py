"""The pilot: it reaches the model, tunes step sizes, and its schedules are interpolations of its own."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm_cli.chain.path_kernels import with_longest_step
from ebm_cli.chain.pilot import Pilot, run_pilot
from ebm_cli.energy import frozen
from ebm_cli.rng import generator
from ebm_cli.sampler import State
from tests.contract import build
from tests.partition.integrand import normal_rows
from tests.partition.paths import path_to, pilot_of, settings


class Nowhere(nn.Module):
    """An energy that is finite nowhere."""

    event = (2,)

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1) * 0 + math.inf


@pytest.mark.parametrize("kernel", ["hmc", "mala", pytest.param("nuts", marks=pytest.mark.slow)])
def test_pilot_reaches_the_model_with_step_sizes_within_a_factor_two_of_the_target(kernel: str) -> None:
    energy = build("energy", "quadratic", {"a": [4.0] * 4 + [400.0] * 4}, event=(8,))
    path = path_to(energy, 1.0, normal_rows(200, 8))
    with frozen(path.space), torch.no_grad():
        pilot, z = pilot_of(path, 400, kernel=kernel)
        assert pilot.betas[0] == 0 and pilot.betas[-1] == 1 and (np.diff(pilot.betas) > 0).all()
        tuned, state = pilot.kernel_at(1.0), State(z, *path.evaluate(z).energy_and_grad(1.0))
        for factor in (0.5, 2.0):
            tried = dataclasses.replace(tuned, step_size=factor * tuned.step_size)
            accept = tried.step(path.energy_at(1.0), state, generator(0, "t", "cpu"))[1].accept
            more = float(accept.mean()) - tuned.best_acceptance
            assert (more if factor < 1 else -more) > 4 * float(accept.std()) / len(z) ** 0.5
    assert tuned.step_size <= with_longest_step(settings(kernel=kernel).path_kernel).step_size


def test_schedule_steps_change_the_distribution_about_equally() -> None:
    path = path_to(build("energy", "quadratic", event=(8,)), 1.0, normal_rows(200, 8, scale=3.0))
    with frozen(path.space), torch.no_grad():
        schedule = pilot_of(path, 400)[0].schedule(24)
    assert len(schedule.kernels) == 24 and schedule.betas[0] == 0 and schedule.betas[-1] == 1
    # ΔU has standard deviation √(d/2)·(s² − 1)/(1 + β(s² − 1)) at β if the base is s times as wide; s is about 3.3.
    more = float(path.space.scale_matrix.diagonal().square().mean()) - 1
    lengths = np.diff(np.log(1 + np.array(schedule.betas) * more))
    assert lengths.max() < 2.5 * lengths.mean()


def test_schedule_interpolates_the_pilot() -> None:
    pilot = Pilot(np.array([0.0, 0.1, 0.5, 1.0]), np.array([1.0, 0.5, 0.2, 0.1]), settings().path_kernel)
    own = pilot.schedule(3)
    assert own.betas == pytest.approx([0.0, 0.1, 0.5, 1.0])
    assert [k.step_size for k in own.kernels] == pytest.approx([0.5, 0.2, 0.1])
    twice = pilot.schedule(6)
    assert twice.betas == pytest.approx([0.0, 0.05, 0.1, 0.3, 0.5, 0.75, 1.0])
    # Between two β the step size is the geometric interpolation.
    assert twice.kernels[4].step_size == pytest.approx(math.sqrt(0.2 * 0.1))


def test_pilot_of_an_energy_that_is_never_finite_is_none() -> None:
    path = path_to(Nowhere(), 1.0, normal_rows(20, 2))
    with frozen(path.space), torch.no_grad():
        assert run_pilot(path, settings().path_kernel, 64, generator(0, "t", "cpu"))[0] is None
