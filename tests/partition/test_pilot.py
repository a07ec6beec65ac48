"""The pilot: it arrives, its steps are as long as they may be, and its schedule lies on its own path."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm_cli.energy import frozen
from ebm_cli.partition.pilot import KEPT, Pilot, kernel_of, largest_rise, lead, resampled, share
from ebm_cli.rng import generator
from tests.contract import build
from tests.partition.integrand import normal_rows
from tests.partition.ways import led, recipe, way_to


class Nowhere(nn.Module):
    """An energy that is finite nowhere."""

    event = (2,)

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(1) * 0 + math.inf


@pytest.mark.parametrize("kernel", ["hmc", "mala", pytest.param("nuts", marks=pytest.mark.slow)])
def test_it_reaches_the_model_with_steps_within_twice_of_those_that_accept_as_asked(kernel: str) -> None:
    energy = build("energy", "quadratic", {"a": [4.0] * 4 + [400.0] * 4}, event=(8,))
    way = way_to(energy, 1.0, normal_rows(200, 8))
    with frozen(way.space), torch.no_grad():
        pilot, z = led(way, 400, kernel=kernel)
        assert pilot.betas[0] == 0 and pilot.betas[-1] == 1 and (np.diff(pilot.betas) > 0).all()
        tuned, state = pilot.kernel_at(1.0), way.look(z).state(1.0)
        for factor in (0.5, 2.0):
            tried = dataclasses.replace(tuned, step_size=factor * tuned.step_size)
            accept = tried.step(way.at(1.0), state, generator(0, "t", "cpu"))[1].accept
            more = float(accept.mean()) - tuned.best_acceptance
            assert (more if factor < 1 else -more) > 4 * float(accept.std()) / len(z) ** 0.5
    assert tuned.step_size <= kernel_of(recipe(kernel=kernel))[1]


def test_every_step_of_a_schedule_adds_about_as_much_spread() -> None:
    way = way_to(build("energy", "quadratic", event=(8,)), 1.0, normal_rows(200, 8, scale=3.0))
    with frozen(way.space), torch.no_grad():
        schedule = led(way, 400)[0].schedule(24)
    assert len(schedule.kernels) == 24 and schedule.betas[0] == 0 and schedule.betas[-1] == 1
    # The drive's deviation at β is √(d/2)·(s² − 1)/(1 + β(s² − 1)), the normal of s spreads: s is 3.3 but for chance.
    more = float(way.space.root.diagonal().square().mean()) - 1
    lengths = np.diff(np.log(1 + np.array(schedule.betas) * more))
    assert lengths.max() < 2.5 * lengths.mean()


def test_a_schedule_of_the_pilots_own_length_is_the_pilots_own() -> None:
    kernel, _ = kernel_of(recipe())
    pilot = Pilot(np.array([0.0, 0.1, 0.5, 1.0]), np.array([1.0, 0.5, 0.2, 0.1]), kernel)
    own = pilot.schedule(3)
    assert own.betas == pytest.approx([0.0, 0.1, 0.5, 1.0])
    assert [k.step_size for k in own.kernels] == pytest.approx([0.5, 0.2, 0.1])
    twice = pilot.schedule(6)
    assert twice.betas == pytest.approx([0.0, 0.05, 0.1, 0.3, 0.5, 0.75, 1.0])
    # Between two β the step size is the geometric interpolation.
    assert twice.kernels[4].step_size == pytest.approx(math.sqrt(0.2 * 0.1))


def test_the_rise_keeps_nine_tenths_of_the_population() -> None:
    drive = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 5
    rise = largest_rise(drive, 1.0)
    assert share(rise * drive) >= KEPT > share(1.02 * rise * drive)
    assert largest_rise(0.01 * drive, 1.0) == 1.0
    assert largest_rise(torch.full((10,), -torch.inf), 1.0) == 0.0


def test_an_energy_that_is_finite_nowhere_is_not_reached() -> None:
    way = way_to(Nowhere(), 1.0, normal_rows(20, 2))
    with frozen(way.space), torch.no_grad():
        assert lead(way, recipe(), generator(0, "t", "cpu"))[0] is None


def test_resampling_is_unbiased_and_as_even_as_whole_numbers_allow() -> None:
    log_w = torch.randn(1, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = 8 * log_w.softmax(1)[0]
    rng, repeats = torch.Generator().manual_seed(2), 2000
    counts = torch.stack([torch.bincount(resampled(log_w, rng)[0], minlength=8) for _ in range(repeats)]).double()
    assert (counts.sum(1) == 8).all() and ((counts - expected).abs() < 1).all()
    error = counts.std(0).clamp(min=1e-3) / repeats**0.5
    assert ((counts.mean(0) - expected).abs() < 4 * error).all()


def test_groups_resample_among_their_own() -> None:
    log_w = torch.tensor([[0.0, -torch.inf, -torch.inf], [-torch.inf, -torch.inf, 0.0]])
    assert resampled(log_w, torch.Generator().manual_seed(0)).tolist() == [[0, 0, 0], [2, 2, 2]]
