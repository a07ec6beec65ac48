"""What every sampler owes: frozen hyperparameters, a cache that is true, noise from the generator alone."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.energy import energy_and_grad
from ebm_cli.sampler import Info, Sampler
from tests.contract import EVENTS, build, options

SAMPLERS = pytest.mark.parametrize("name", options("sampler"))
SHAPES = pytest.mark.parametrize("event", EVENTS)


class Flat(nn.Module):
    """E = 0 everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return (0 * x).flatten(1).sum(1)


def moved(sampler: Sampler, energy: nn.Module, x: Tensor, steps: int, seed: int = 0) -> tuple:
    rng = torch.Generator().manual_seed(seed)
    state, info = sampler.init(energy, x, rng), None
    for _ in range(steps):
        state, info = sampler.step(energy, state, rng)
    return state, info


@SAMPLERS
def test_hyperparameters_cannot_be_changed(name: str) -> None:
    sampler = build("sampler", name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        sampler.step_size = 1.0


@SAMPLERS
@SHAPES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_step_keeps_shapes_and_types_and_says_what_was_accepted(
    name: str, event: tuple[int, ...], dtype: torch.dtype, rng: torch.Generator
) -> None:
    energy = build("energy", "mlp", event=event).to(dtype)
    x = torch.randn(5, *event, generator=rng, dtype=dtype)
    state, info = moved(build("sampler", name), energy, x, 3)
    assert state.x.shape == state.grad.shape == x.shape and state.energy.shape == (5,)
    assert {value.dtype for value in (*state, *info)} == {dtype}
    assert isinstance(info, Info)
    assert info.accept.shape == (5,) and ((info.accept >= 0) & (info.accept <= 1)).all()
    assert not torch.equal(state.x, x)


@SAMPLERS
@SHAPES
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_cached_energy_and_gradient_are_those_of_x(
    name: str, event: tuple[int, ...], steps: int, rng: torch.Generator
) -> None:
    energy = build("energy", "mlp", event=event)
    # A step at which MALA takes some proposals and refuses others.
    sampler = build("sampler", name, {"step_size": 0.4})
    state, _ = moved(sampler, energy, torch.randn(20, *event, generator=rng), steps)
    e, grad = energy_and_grad(energy, state.x)
    torch.testing.assert_close(state.energy, e)
    torch.testing.assert_close(state.grad, grad)


@SAMPLERS
def test_without_slope_and_noise_nothing_moves(name: str, rng: torch.Generator) -> None:
    try:
        sampler = build("sampler", name, {"temperature": 0.0})
    except InputError as error:
        assert error.messages == ("temperature must be > 0, got 0.0",)
        return
    x = torch.randn(5, 2, generator=rng)
    assert torch.equal(moved(sampler, Flat(), x, 3)[0].x, x)


@SAMPLERS
def test_chains_depend_on_the_generator_alone(name: str, rng: torch.Generator) -> None:
    energy, sampler = build("energy", "mlp", event=(2,)), build("sampler", name)
    x = torch.randn(5, 2, generator=rng)
    before = torch.get_rng_state()
    first, again, other = (moved(sampler, energy, x, 3, seed)[0].x for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


@SAMPLERS
@pytest.mark.parametrize("change", [{"step_size": -0.1}, {"step_size": 0.0}, {"temperature": -1.0}])
def test_a_wrong_value_is_named(name: str, change: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"^{next(iter(change))} must be >"):
        build("sampler", name, change)


@SAMPLERS
def test_a_step_leaves_the_energys_parameters_alone(name: str, rng: torch.Generator) -> None:
    energy = build("energy", "mlp", event=(2,))
    state, info = moved(build("sampler", name), energy, torch.randn(5, 2, generator=rng), 2)
    assert all(p.grad is None and p.requires_grad for p in energy.parameters())
    assert not any(value.requires_grad for value in (*state, *info))
