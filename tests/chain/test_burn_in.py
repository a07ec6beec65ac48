"""Adaptation: it reaches its target, finds scales and stiffness, freezes the result, and never collapses."""

import dataclasses
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm_cli.chain.burn_in import RunningVariance
from ebm_cli.chain.loop import Trajectory, run_chains
from ebm_cli.chain.preconditioning import RescaledEnergy
from ebm_cli.chain.step_size_tuners import DualAveraging
from ebm_cli.chain.tuning import Tuning
from ebm_cli.check import InputError
from ebm_cli.energy import energy_and_grad
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.sampler import Adjusted, Sampler, Unadjusted
from tests.contract import build, options

pytestmark = pytest.mark.usefixtures("float64")
A = [1.0, 25.0, 400.0]
ADAPTIVE = [name for name in options("sampler") if isinstance(build("sampler", name), Adjusted | Unadjusted)]
ADJUSTED = [name for name in ADAPTIVE if isinstance(build("sampler", name), Adjusted)]
BIASED = [name for name in ADAPTIVE if name not in ADJUSTED]


def tuned(
    name: str, rng: torch.Generator, energy: nn.Module | None = None, burn_in: int = 200, adapt: str = "step", **changes
) -> Trajectory:
    """Chains that start far out, tuned over `burn_in` steps."""
    short = {"nuts": {"max_depth": 4}, "hmc": {"leapfrog_steps": 4}, "tempering": {"replicas": 3}}.get(name, {})
    sampler = build("sampler", name, {**short, **changes})
    x = 2 * torch.randn(64, 3, generator=rng)
    return run_chains(sampler, energy or Quadratic(A, None), x, 60, rng, burn_in=burn_in, tuning=Tuning(adapt), thin=2)


@pytest.mark.parametrize(("first", "name"), [*((1e-4, name) for name in ADJUSTED), (10.0, "mala"), (10.0, "hmc")])
def test_an_adjusted_kernel_meets_its_target_from_any_first_step(name: str, first: float, rng: torch.Generator) -> None:
    done = tuned(name, rng, step_size=first)
    assert float(done.accept.mean()) == pytest.approx(done.sampler.best_acceptance, abs=0.07)


@pytest.mark.parametrize("name", BIASED)
@pytest.mark.parametrize("first", [1e-4, 10.0])
def test_a_biased_kernel_gets_the_step_for_the_stiffest_direction(
    name: str, first: float, rng: torch.Generator
) -> None:
    done = tuned(name, rng, step_size=first)
    expected = build("sampler", name).step_size_for(max(A), 0.05)
    assert done.sampler.step_size == pytest.approx(expected, rel=0.02)
    assert (done.first_nonfinite_step < 0).all()


def test_stiffness_is_found_in_a_direction_of_no_axis_and_of_a_network_without_second_derivatives(
    rng: torch.Generator,
) -> None:
    root = torch.linalg.qr(torch.randn(3, 3, generator=rng))[0]

    class Rotated(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0.5 * ((x @ root).square() * torch.tensor(A)).sum(1)

    done = tuned("sgld", rng, Rotated())
    assert done.sampler.step_size == pytest.approx(build("sampler", "sgld").step_size_for(max(A), 0.05), rel=0.02)

    class PiecewiseLinear(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.abs().sum(1)

    assert np.isfinite(tuned("sgld", rng, PiecewiseLinear()).sampler.step_size)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_scales_become_the_spread_of_each_coordinate_and_steps_of_unit_size(name: str, rng: torch.Generator) -> None:
    done = tuned(name, rng, adapt="all", burn_in=1500 if name in BIASED else 200)
    expected = torch.tensor(A) ** -0.5
    np.testing.assert_allclose(np.array(done.sampler.scales) / expected.numpy(), 1, atol=0.25)
    # Draws are in x's own units, and right in all of them alike.
    assert ((done.x.std((0, 1)) / expected - 1).abs() < 0.2).all()


@pytest.mark.parametrize("name", ADAPTIVE)
def test_what_was_found_is_frozen_and_gives_the_same_chains_when_it_is_asked_for(
    name: str, rng: torch.Generator
) -> None:
    done = tuned(name, rng, adapt="all")
    fixed = {field.name: getattr(done.sampler, field.name) for field in dataclasses.fields(done.sampler)}
    again = [
        run_chains(s, Quadratic(A, None), torch.zeros(4, 3), 5, torch.Generator().manual_seed(1)).x
        for s in (done.sampler, build("sampler", name, fixed))
    ]
    assert torch.equal(again[0], again[1])


def test_gradients_of_tuning_are_counted(rng: torch.Generator) -> None:
    done = tuned("mala", rng)
    assert done.steps == 260 and (done.gradients > 260).all() and (done.gradients < 400).all()


def test_a_step_size_that_nothing_accepts_stops_at_the_floor() -> None:
    averaging = DualAveraging(np.array([1.0]), target=0.8)
    for _ in range(500):
        step = averaging.next(np.array([0.0]))
    assert step[0] == pytest.approx(1e-4) and np.exp(averaging.average[0]) > 0.99e-4


def test_chains_that_are_not_finite_leave_no_trace_in_the_scales(rng: torch.Generator) -> None:
    x = torch.randn(500, 2, generator=rng) * torch.tensor([1.0, 3.0])
    with_bad, without = RunningVariance(), RunningVariance()
    for part in x.split(100):
        without.add(part)
        with_bad.add(torch.cat([part, torch.tensor([[torch.nan, 0.0], [torch.inf, 1.0]])]))
    assert with_bad.scales() == without.scales()
    np.testing.assert_allclose(without.scales(), x.std(0), rtol=0.02)


def test_an_energy_in_other_units_has_the_slope_of_those_units(rng: torch.Generator) -> None:
    scales, y = torch.tensor([0.5, 2.0, 3.0]), torch.randn(5, 3, generator=rng)
    inner = build("energy", "mlp", event=(3,))
    e, grad = energy_and_grad(RescaledEnergy(inner, scales), y)
    whole, slope = energy_and_grad(inner, scales * y)
    torch.testing.assert_close(e, whole)
    torch.testing.assert_close(grad, scales * slope)
    leaf = y.clone().requires_grad_(True)
    torch.testing.assert_close(torch.autograd.grad(RescaledEnergy(inner, scales)(leaf).sum(), leaf)[0], grad)


@pytest.mark.parametrize("name", ["mala", "sgld"])
def test_a_typed_target_is_met(name: str, rng: torch.Generator) -> None:
    x = 2 * torch.randn(64, 3, generator=rng)
    tuning = Tuning("step", target_accept=0.8, target_bias=0.2)
    done = run_chains(build("sampler", name), Quadratic(A, None), x, 60, rng, burn_in=200, tuning=tuning)
    if name == "mala":
        assert float(done.accept.mean()) == pytest.approx(0.8, abs=0.07)
    else:
        assert done.sampler.step_size == pytest.approx(build("sampler", name).step_size_for(max(A), 0.2), rel=0.02)


def test_a_kernel_that_jumps_is_tuned_by_its_local_steps(rng: torch.Generator) -> None:
    x = 2 * torch.randn(64, 3, generator=rng)
    sampler = build("sampler", "jump_mala", {"jump_probability": 0.0, "step_size": 10.0})
    done = run_chains(sampler, Quadratic(A, None), x, 60, rng, burn_in=200, tuning=Tuning("step"))
    assert float(done.accept.mean()) == pytest.approx(0.574, abs=0.07)


@pytest.mark.parametrize(
    ("name", "typed", "burn_in", "expected"),
    [
        ("mala", False, "auto", "all"),
        ("tempering", False, 100, "all"),
        ("jump_mala", False, "auto", "step"),
        ("sgld", False, "auto", "step"),
        ("mala", True, "auto", "none"),
        ("mala", False, 99, "none"),
    ],
)
def test_auto_tunes_what_it_can_unless_a_step_size_is_typed_or_burn_in_is_short(
    name: str, typed: bool, burn_in: int | str, expected: str
) -> None:
    assert Tuning("auto").resolve(build("sampler", name), typed, burn_in).adapt == expected


def test_no_room_to_adapt_and_nothing_to_tune_are_named(rng: torch.Generator) -> None:
    class Drift:
        temperature = 1.0

        def init(self, energy, x, rng) -> None: ...

        def step(self, energy, state, rng) -> None: ...

    x, own = torch.zeros(2, 3), cast(Sampler, Drift())
    with pytest.raises(InputError, match=r"^burn_in must be >= 100 for adapt=step, got 50"):
        run_chains(build("sampler", "mala"), Quadratic(A, None), x, 10, rng, burn_in=50, tuning=Tuning("step"))
    with pytest.raises(InputError, match=r"^adapt=all needs a sampler with a step size to tune; type adapt=none"):
        run_chains(own, Quadratic(A, None), x, 10, rng, burn_in=500, tuning=Tuning("all"))
    assert Tuning("auto").resolve(own, False, "auto").adapt == "none"


def test_scales_of_another_shape_are_named(rng: torch.Generator) -> None:
    sampler = build("sampler", "mala", {"scales": [1.0, 2.0]})
    with pytest.raises(
        InputError, match=r"^sampler\.scales must have one number per coordinate, 3 for event=\[3\], got 2"
    ):
        run_chains(sampler, Quadratic(A, None), torch.zeros(2, 3), 10, rng)
