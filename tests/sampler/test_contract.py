"""What every sampler owes, found by walking the folder: its stationary law, a true cache, and no trust in NaN."""

import dataclasses

import pytest
import torch
from scipy.stats import ks_2samp
from torch import Tensor, nn

from ebm_cli.chain.loop import run_chains
from ebm_cli.check import InputError
from ebm_cli.energy import SPACES, energy_and_grad
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.sampler import Info, Sampler
from tests.contract import EVENTS, build, moment_z_scores, options, samplers
from tests.sampler.distributions import directions, drawn, mixture, moderate, of_its_test

NAMES = samplers()
ADJUSTED = [name for name in NAMES if build("sampler", name).adjusted]
BIASED = [name for name in NAMES if name not in ADJUSTED]
# Those whose distribution on a quadratic has a closed form, which their own test file has.
WITH_LAW = [name for name in BIASED if of_its_test(name, "law", None) is not None]
# Its swaps alternate between even and odd pairs, so that the composition keeps the law but no detailed balance.
REVERSIBLE = [name for name in ADJUSTED if name != "tempering"]
SAMPLERS = pytest.mark.parametrize("name", NAMES)
SHAPES = pytest.mark.parametrize("event", EVENTS)
# Of a two-sided normal beyond 4 standard errors.
FOUR_SIGMA = 6.3e-5
PAIRS = 20_000


class Flat(nn.Module):
    """E = 0 everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return (0 * x).flatten(1).sum(1)


class Cliff(nn.Module):
    """½‖x‖² where x₁ < 1, beyond it `beyond`."""

    def __init__(self, beyond: float) -> None:
        super().__init__()
        self.beyond = beyond

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x[:, 0] < 1, 0.5 * x.square().sum(1), self.beyond)


def moved(sampler: Sampler, energy: nn.Module, x: Tensor, steps: int, seed: int = 0) -> tuple:
    rng = torch.Generator().manual_seed(seed)
    state, info = sampler.init(energy, x, rng), None
    for _ in range(steps):
        state, info = sampler.step(energy, state, rng)
    return state, info


def test_both_kinds_of_kernel_were_found() -> None:
    assert {"mala", "hmc", "nuts", "tempering"} <= set(ADJUSTED) and {"sgld", "sghmc", "underdamped"} <= set(WITH_LAW)


@pytest.mark.parametrize("name", ADJUSTED)
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_an_adjusted_kernel_keeps_the_moments_of_a_gaussian(
    name: str, temperature: float, rng: torch.Generator, float64: None
) -> None:
    a, chains = 2.0, 20_000
    energy, sampler = Quadratic([a], None), moderate(name, {"temperature": temperature})
    state = sampler.init(energy, energy.draw(chains, temperature, rng), rng)
    for _ in range(8):
        state, _ = sampler.step(energy, state, rng)
    z_mean, z_variance = moment_z_scores(state.x, 0.0, temperature / a)
    assert z_mean < 4 and z_variance < 4


@pytest.mark.parametrize("name", WITH_LAW)
@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_biased_kernel_has_the_moments_of_its_own_law(
    name: str, temperature: float, rng: torch.Generator, float64: None
) -> None:
    a, chains = 2.0, 40_000
    energy, sampler = Quadratic([a], None), moderate(name, {"temperature": temperature})
    begun = drawn(name, sampler, energy, a, chains, rng)
    state = begun
    for _ in range(20):
        state, _ = sampler.step(energy, state, rng)
    for part in {"x", "v"} & set(begun._fields):
        before, after = getattr(begun, part), getattr(state, part)
        z_mean, z_variance = moment_z_scores(after, 0.0, before.var())
        # The reference is a sample of as many chains itself.
        assert z_mean < 4 and z_variance < 4 * 2**0.5


@pytest.mark.parametrize(
    ("name", "changes"), [*((name, {}) for name in ADJUSTED), ("hmc", {"short": 0.7}), ("hmc", {"log_step_std": 1.0})]
)
def test_one_step_from_the_target_is_the_target(name: str, changes: dict, rng: torch.Generator, float64: None) -> None:
    energy, sampler = mixture(), moderate(name, changes)
    before, x = energy.draw(PAIRS, 1.0, rng), energy.draw(PAIRS, 1.0, rng)
    if name == "tempering":
        state = equilibrated(sampler, energy, x, rng)
    else:
        state = sampler.init(energy, x, rng)
    after = sampler.step(energy, state, rng)[0].x
    for look in (lambda x: x[:, 0], lambda x: x[:, 1], lambda x: x.square().sum(1)):
        assert ks_2samp(look(before).numpy(), look(after).numpy()).pvalue > FOUR_SIGMA


def equilibrated(sampler, energy: GaussianMixture, x: Tensor, rng: torch.Generator) -> tuple:
    """All rungs at their own law: the coldest drawn exactly, the hotter ones after many steps."""
    state = sampler.init(energy, x, rng)
    for _ in range(30):
        state, _ = sampler.step(energy, state, rng)
    fresh = sampler.init(energy, x, rng)
    n = len(x)
    states = type(fresh.states)(
        *(torch.cat([new[:n], old[n:]]) for new, old in zip(fresh.states, state.states, strict=True))
    )
    return fresh._replace(states=states)


@pytest.mark.parametrize("name", WITH_LAW)
def test_one_step_from_its_own_law_on_a_quadratic_is_that_law_in_x_and_v(
    name: str, rng: torch.Generator, float64: None
) -> None:
    a = 1.5
    energy, sampler = Quadratic([a], None), moderate(name)
    before = directions(drawn(name, sampler, energy, a, PAIRS, rng))
    after = directions(sampler.step(energy, drawn(name, sampler, energy, a, PAIRS, rng), rng)[0])
    for which, values in before.items():
        assert ks_2samp(values.numpy(), after[which].numpy()).pvalue > FOUR_SIGMA, which


@pytest.mark.parametrize("name", WITH_LAW)
def test_the_rank_test_would_see_a_law_that_is_a_tenth_too_wide(name: str, rng: torch.Generator, float64: None) -> None:
    a = 1.5
    energy, sampler = Quadratic([a], None), moderate(name)
    before = directions(drawn(name, sampler, energy, a, PAIRS, rng))
    other = directions(drawn(name, sampler, energy, a, PAIRS, rng))
    assert ks_2samp(before["|x|"].numpy(), 1.1 * other["|x|"].numpy()).pvalue < FOUR_SIGMA


@pytest.mark.parametrize("name", REVERSIBLE)
@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_steps_are_reversible(name: str, factor: float, rng: torch.Generator, float64: None) -> None:
    energy, sampler = mixture(), moderate(name)
    sampler = dataclasses.replace(sampler, step_size=factor * sampler.step_size)
    x = energy.draw(100_000, 1.0, rng)
    y = sampler.step(energy, sampler.init(energy, x, rng), rng)[0].x
    f, g = [(z[:, 0] > 0.3).double() for z in (x, y)], [z.square().sum(1) for z in (x, y)]
    # E[f(x) g(y)] = E[g(x) f(y)] when x ~ π.
    difference = f[0] * g[1] - g[0] * f[1]
    assert difference.mean().abs() < 4 * difference.std() / len(x) ** 0.5


@pytest.mark.parametrize("name", [name for name in REVERSIBLE if name != "nuts"])
def test_accept_is_the_share_that_moves(name: str, rng: torch.Generator, float64: None) -> None:
    energy = Quadratic([2.0], None)
    x = energy.draw(40_000, 1.0, rng)
    sampler = moderate(name)
    state, info = sampler.step(energy, sampler.init(energy, x, rng), rng)
    taken = (state.x != x).squeeze(1).double()
    difference = taken - info.accept
    assert 0.3 < taken.mean() < 0.99
    assert difference.mean().abs() < 4 * difference.std() / len(x) ** 0.5


@pytest.mark.parametrize("name", ADJUSTED)
def test_a_huge_step_is_refused_and_a_tiny_one_taken(name: str, rng: torch.Generator, float64: None) -> None:
    energy, n = Quadratic([2.0] * 6, None), 500
    x = energy.draw(n, 1.0, rng)
    short = {"nuts": {"max_depth": 3}, "jump_mala": {"jump_probability": 0.0}}
    for step_size, accept in ((100.0, 0.0), (1e-6, 1.0)):
        changes = {"step_size": step_size} | short.get(name, {})
        sampler = moderate(name, changes)
        state, info = sampler.step(energy, sampler.init(energy, x, rng), rng)
        torch.testing.assert_close(info.accept, torch.full((n,), accept), atol=1e-3, rtol=0)
        if name != "tempering":
            # A tiny flight of NUTS may end where it began.
            assert (state.x != x).double().mean() == pytest.approx(accept, abs=0.15)


@pytest.mark.parametrize("name", ADJUSTED)
@pytest.mark.parametrize("beyond", [float("nan"), float("inf")])
def test_a_place_without_energy_is_never_entered_and_always_counted(
    name: str, beyond: float, rng: torch.Generator, float64: None
) -> None:
    sampler, counted = moderate(name), 0
    state = sampler.init(Cliff(beyond), torch.zeros(300, 2), rng)
    for _ in range(15):
        state, info = sampler.step(Cliff(beyond), state, rng)
        assert info.accept.isfinite().all() and ((info.accept >= 0) & (info.accept <= 1)).all()
        counted += int(info.diverging.sum())
    assert (state.x[:, 0] < 1).all() and state.energy.isfinite().all() and state.grad.isfinite().all()
    assert counted > 0


@pytest.mark.parametrize("name", BIASED)
def test_a_biased_kernel_that_falls_off_says_so(name: str, rng: torch.Generator, float64: None) -> None:
    x = torch.tensor([[0.0, 0.0], [5.0, 0.0]])
    sampler = moderate(name, {"step_size": 1e-4})
    _, info = sampler.step(Cliff(float("nan")), sampler.init(Cliff(float("nan")), x, rng), rng)
    assert info.diverging.tolist() == [False, True]


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
    assert {value.dtype for value in (state.x, state.energy, state.grad, info.accept)} == {dtype}
    assert isinstance(info, Info)
    assert info.accept.shape == (5,) and ((info.accept >= 0) & (info.accept <= 1)).all()
    assert info.diverging.dtype == torch.bool and not info.diverging.any()
    assert (torch.as_tensor(info.gradients) >= 1).all()
    assert not torch.equal(state.x, x)


@SAMPLERS
@SHAPES
@pytest.mark.parametrize("steps", [0, 7])
def test_cached_energy_and_gradient_are_those_of_x(
    name: str, event: tuple[int, ...], steps: int, rng: torch.Generator
) -> None:
    energy = build("energy", "mlp", event=event)
    state, _ = moved(moderate(name), energy, torch.randn(20, *event, generator=rng), steps)
    e, grad = energy_and_grad(energy, state.x)
    torch.testing.assert_close(state.energy, e)
    torch.testing.assert_close(state.grad, grad)


@SAMPLERS
def test_without_slope_and_noise_nothing_moves(name: str, rng: torch.Generator) -> None:
    try:
        sampler = build("sampler", name, {"temperature": 0.0})
    except InputError as error:
        assert error.messages == ("temperature must be > 0, got 0.0",)
        assert name in ADJUSTED
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


def test_every_sampler_says_on_its_class_on_which_spaces_it_works() -> None:
    for name in options("sampler"):
        spaces = vars(type(build("sampler", name))).get("spaces")
        assert isinstance(spaces, frozenset) and spaces and spaces <= set(SPACES), name


@SAMPLERS
def test_it_says_on_its_class_whether_it_is_adjusted_as_its_acceptances_show(name: str, rng: torch.Generator) -> None:
    sampler = build("sampler", name, {"step_size": 0.5})
    x = torch.randn(64, 2, generator=rng)
    accepted = run_chains(sampler, build("energy", "double_well", event=(2,)), x, 5, rng).accept
    assert "adjusted" in vars(type(sampler)) and sampler.adjusted == bool((accepted < 1).any())


@SAMPLERS
def test_a_step_leaves_the_energys_parameters_alone(name: str, rng: torch.Generator) -> None:
    energy = build("energy", "mlp", event=(2,))
    state, info = moved(build("sampler", name), energy, torch.randn(5, 2, generator=rng), 2)
    assert all(p.grad is None and p.requires_grad for p in energy.parameters())
    tensors = (state.x, state.energy, state.grad, info.accept)
    assert not any(value.requires_grad for value in tensors)
