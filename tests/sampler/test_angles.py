"""Kernels on angles: they keep a von Mises distribution, and full turns change nothing."""

import math

import numpy as np
import pytest
import torch
from scipy.special import ive
from scipy.stats import kstest, vonmises

from ebm_cli.chain.burn_in import RunningCircularVariance
from ebm_cli.chain.loop import run_chains
from ebm_cli.data import _angles
from ebm_cli.energy import works_on
from ebm_cli.energy.xy import XY
from ebm_cli.path.base import BasePath
from ebm_cli.rng import generator
from ebm_cli.sampler.hmc import HMC
from tests.contract import build, options

pytestmark = pytest.mark.usefixtures("float64")
NAMES = [name for name in options("sampler") if works_on(type(build("sampler", name)), "periodic")]
ADJUSTED = [name for name in NAMES if build("sampler", name).adjusted]
# Two-sided, beyond 4 standard errors.
FOUR_SIGMA = 6.3e-5


def along_uniform_angles() -> object:
    path = BasePath("auto", None, [1.0, 0.6, 0.3, 0.0], None, renew_every=1)
    return build("sampler", "tempering", {"step_factors": None}, path=path)


def test_kernels_for_angles_were_found() -> None:
    # The jumps of jump_mala are drawn around 0, with a Metropolis test that depends on the distance from there.
    assert {"sgld", "mala", "hmc", "nuts", "underdamped", "sghmc", "tempering"} == set(NAMES)


@pytest.mark.parametrize("name", [*ADJUSTED, "along_uniform_angles"])
def test_an_adjusted_kernel_keeps_a_von_mises_distribution(name: str, rng: torch.Generator) -> None:
    # Long steps, so that chains turn around the circle.
    changes = {} if name == "tempering" else {"step_size": 1.5}
    sampler = along_uniform_angles() if name == "along_uniform_angles" else build("sampler", name, changes)
    energy = XY(0.0, 1.2, "lattice", False, (2,)).requires_grad_(False)
    x = energy.draw(10_000, 1.0, rng)
    done = run_chains(sampler, energy, x, 12, rng, thin=None, burn_in=20 if "step_size" not in changes else 0)
    last = done.last.x
    assert bool((last >= -math.pi).all()) and bool((last < math.pi).all())
    assert float((_angles.wrap(last - x).abs() > 0.1).double().mean()) > 0.5
    for i in range(2):
        assert kstest(last[:, i].numpy(), vonmises(1.2).cdf).pvalue > FOUR_SIGMA


@pytest.mark.parametrize("name", [*NAMES, "along_uniform_angles"])
def test_turning_back_between_steps_does_not_change_a_trajectory(name: str) -> None:
    # Long trajectories of coupled rotors are chaotic: they multiply differences by rounding, a thousandfold per step.
    changes, steps = ({"max_depth": 3}, 10) if name == "nuts" else ({}, 20)
    sampler = along_uniform_angles() if name == "along_uniform_angles" else build("sampler", name, changes)
    energy = XY(0.8, 0.3, "lattice", False, (5,)).requires_grad_(False)
    x = _angles.uniform(16, (5,), generator(0, "start", torch.device("cpu")), torch.float64)
    # Angles far out turn back after the first step if every draw is kept, otherwise only at the end.
    x = x + 2 * math.pi * torch.arange(-8, 8)[:, None]
    every = run_chains(sampler, energy, x, steps, torch.Generator().manual_seed(1), thin=1)
    at_end = run_chains(sampler, energy, x, steps, torch.Generator().manual_seed(1), thin=None)
    assert torch.allclose(every.x[-1], at_end.last.x, atol=1e-8)
    assert torch.allclose(every.energy, torch.stack([energy(each) for each in every.x]), atol=1e-9)


def test_scales_turn_with_the_angles(rng: torch.Generator) -> None:
    sampler = HMC(0.4, 5, 0.2, short=0.0, log_step_std=0.0, temperature=1.0, scales=[0.5, 3.0])
    energy = XY(0.0, 0.7, "lattice", False, (2,)).requires_grad_(False)
    done = run_chains(sampler, energy, energy.draw(4000, 1.0, rng), 20, rng)
    assert float(done.x.abs().amax()) <= math.pi
    assert torch.allclose(done.energy, torch.stack([energy(each) for each in done.x]), atol=1e-9)
    for i in range(2):
        assert kstest(done.x[-1, :, i].numpy(), vonmises(0.7).cdf).pvalue > FOUR_SIGMA


def test_wrapped_angles_are_in_range_and_keep_their_values() -> None:
    x = torch.tensor([-math.pi, 0.3, math.pi, 1e3, -1e3, math.nextafter(math.pi, 0)])
    w = _angles.wrap(x)
    assert bool(((w >= -math.pi) & (w < math.pi)).all())
    assert torch.allclose(w.cos(), x.cos()) and torch.allclose(w.sin(), x.sin(), atol=1e-12)
    assert torch.equal(w[[0, 1, 5]], x[[0, 1, 5]])
    single = _angles.wrap(torch.linspace(-20, 20, 100_001, dtype=torch.float32))
    assert bool(((single >= -np.float32(math.pi)) & (single < np.float32(math.pi))).all())


def test_the_circular_variance_ignores_full_turns(rng: torch.Generator) -> None:
    variance = RunningCircularVariance()
    for turn in range(5):
        variance.add(0.1 * torch.randn(4000, 1, generator=rng) + 2 * math.pi * turn + 3.0)
        variance.add(_angles.uniform(4000, (1,), rng, torch.float64) * 0 + 3.0 + 0.1)
    # −2 log R of a normal distribution is its variance; half of the draws have none, at a distance of 0.1.
    resultant = abs(np.exp(-0.005) + np.exp(0.1j)) / 2
    assert variance.variance().item() == pytest.approx(-2 * math.log(resultant), rel=0.05)


def test_the_mean_cosine_of_independent_angles_is_a_ratio_of_bessel_functions(rng: torch.Generator) -> None:
    x = XY(0.0, 2.0, "lattice", False, (4,)).draw(50_000, 1.0, rng)
    error = float(x.cos().std()) / x.numel() ** 0.5
    assert abs(float(x.cos().mean()) - ive(1, 2.0) / ive(0, 2.0)) < 4 * error
