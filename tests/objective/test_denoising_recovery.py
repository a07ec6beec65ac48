"""Denoising recovery: its optimum on Gaussians, its gradient, and the input that it refuses."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.objective.denoising_recovery import DenoisingRecovery
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Info, State, unadjusted_info
from tests.contract import build
from tests.objective.slope import assert_gradient_is_slope

pytestmark = pytest.mark.usefixtures("float64")

LEVELS = [0.8, 2.0]
OWN = 0.3


class Curved(nn.Module):
    """E(x, ν) = ½aᵢ‖x‖², a curvature a level."""

    noise_level = OWN

    def __init__(self, a: Tensor) -> None:
        super().__init__()
        self.a = nn.Parameter(a)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        ν = torch.full((len(x),), self.noise_level) if condition is None else condition
        level = (ν[:, None] - torch.tensor([OWN, LEVELS[0]])).abs().argmin(1)
        return 0.5 * self.a[level] * x.square().sum(1)


class Blind:
    """A kernel that looks at no energy: where it ends does not depend on the parameters."""

    temperature = 2.0

    def init(self, energy: nn.Module, x: Tensor, rng: torch.Generator) -> State:
        return State(x, torch.zeros(len(x)), torch.zeros_like(x))

    def step(self, energy: nn.Module, state: State, rng: torch.Generator) -> tuple[State, Info]:
        return state._replace(x=state.x + normal_like(state.x, rng)), unadjusted_info(state.energy)


def recovery(sampler: Any, **changes: Any) -> DenoisingRecovery:
    return build("objective", "denoising_recovery", {"sigma": LEVELS, **changes}, sampler=sampler)


@pytest.mark.parametrize("begin", ["noised", "data"])
def test_the_gradient_is_the_slope_of_the_loss_at_held_chains(begin: str, rng: torch.Generator) -> None:
    energy, objective = (
        build("energy", "mlp", {"width": 6, "noise_level": OWN}, event=(2,)),
        recovery(Blind(), chain_init=begin, steps=2),
    )
    batch = Batch(torch.randn(17, 2, generator=rng))
    assert_gradient_is_slope(lambda: objective(energy, batch, torch.Generator().manual_seed(1)).loss, energy)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("d", [1, 2])
def test_the_expected_gradient_is_that_of_the_recovery_likelihood(d: int, temperature: float) -> None:
    """−∂/∂a log p(x_t | x_{t+1}) on Gaussians: the law given x̃ is N(x̃/(δ²A), 1/A), A = a/T + 1/δ²."""
    s, a = 1.3, temperature * torch.tensor([1.2, 0.3])
    energy = Curved(a)
    # Ends of long chains of an exact kernel are draws of the law.
    objective = recovery(build("sampler", "mala", {"step_size": 0.2, "temperature": temperature}), steps=20)
    found = []
    for seed in range(30):
        rng = torch.Generator().manual_seed(seed)
        outcome = objective(energy, Batch(s * torch.randn(1000, d, generator=rng)), rng)
        found.append(torch.autograd.grad(outcome.loss, energy.a)[0])
    gradients = torch.stack(found)
    σ = torch.tensor([0.0, LEVELS[0]])
    δ2 = torch.tensor(LEVELS).square() - σ**2
    m, A = s**2 + σ**2, a / temperature + 1 / δ2
    # Each level has half of the rows.
    expected = 0.5 * (0.5 * d * m - 0.5 * d * ((m + δ2) / (δ2 * A) ** 2 + 1 / A)) / temperature
    error = gradients.std(0) / 30**0.5
    assert (error < 0.1 * expected.abs()).all()
    assert ((gradients.mean(0) - expected).abs() < 4 * error).all()


@pytest.mark.parametrize(("begin", "steps", "step_size"), [("noised", 10, 0.3), ("data", 2, 0.1)])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_on_gaussians_every_level_comes_to_its_own_noised_law(
    begin: str, steps: int, step_size: float, temperature: float
) -> None:
    """A² m − A − (m + δ²)/δ⁴ = 0 has the root A = 1/m + 1/δ², which is a = T/m, m = ⟨x²⟩ + σ²."""
    d, length, blocks = 2, 30, 10
    x = 1.3 * torch.randn(1000, d, generator=torch.Generator().manual_seed(5))
    m = x.square().mean() + torch.tensor([0.0, LEVELS[0]]) ** 2
    target = temperature / m
    objective = recovery(
        build("sampler", "mala", {"step_size": step_size / temperature, "temperature": temperature}),
        chain_init=begin,
        steps=steps,
    )
    energy, rng = Curved(target.clone()), torch.Generator().manual_seed(3)
    path = []
    for _ in range((blocks + 2) * length):
        (grad,) = torch.autograd.grad(objective(energy, Batch(x), rng).loss, energy.a)
        with torch.no_grad():
            energy.a.sub_(0.2 * temperature * target**2 * grad)
        path.append(energy.a.detach().clone())
    means = torch.stack(path[2 * length :]).view(blocks, length, 2).mean(1)
    error = means.std(0) / blocks**0.5
    # Levels take turns by row, so the first has its own half of x.
    m = torch.stack([x[::2].square().mean(), x[1::2].square().mean() + LEVELS[0] ** 2])
    assert (error < 0.05 * target).all()
    assert ((means.mean(0) - temperature / m).abs() < 4 * error).all()


def test_short_chains_from_the_noised_rows_are_biased_as_said_and_from_the_data_are_not() -> None:
    s, biased, unbiased = 1.3, [], []
    energy = Curved(1 / (s**2 + torch.tensor([0.0, LEVELS[0]]) ** 2))
    sampler = build("sampler", "mala", {"step_size": 0.005})
    for seed in range(30):
        for begin, kept in (("noised", biased), ("data", unbiased)):
            rng = torch.Generator().manual_seed(seed)
            batch = Batch(s * torch.randn(500, 2, generator=rng))
            loss = recovery(sampler, steps=3, chain_init=begin)(energy, batch, rng).loss
            kept.append(torch.autograd.grad(loss, energy.a)[0])
    for kept, zero in ((biased, False), (unbiased, True)):
        gradients = torch.stack(kept)
        apart = gradients.mean(0).abs() / (gradients.std(0) / 30**0.5)
        assert bool((apart < 4).all()) is zero


def test_what_is_shown_as_data_and_model_is_of_the_datas_own_level(rng: torch.Generator) -> None:
    energy, objective = Curved(torch.tensor([1.0, 0.5])), recovery(build("sampler", "mala"))
    batch = Batch(torch.randn(9, 2, generator=rng), clean=torch.randn(9, 2, generator=rng))
    outcome = objective(energy, batch, rng)
    assert outcome.x_model is not None and outcome.e_model is not None
    torch.testing.assert_close(outcome.x_data, batch.x[::2], rtol=0, atol=0)
    torch.testing.assert_close(outcome.e_data, energy(batch.x[::2]))
    torch.testing.assert_close(outcome.e_model, energy(outcome.x_model))
    assert outcome.clean is not None and len(outcome.clean) == 5


def test_what_does_not_go_together_is_refused_with_the_reason(rng: torch.Generator) -> None:
    sampler = build("sampler", "mala")
    for changes, message in (
        ({"sigma": [2.0, 0.8]}, "sigma must rise"),
        ({"steps": 0}, "steps must be >= 1"),
        ({"chain_init": "row"}, "chain_init must be one of"),
        ({"sampling_steps": 0}, "sampling_steps must be >= 1"),
    ):
        with pytest.raises(InputError, match=f"^{message}"):
            recovery(sampler, **changes)
    with pytest.raises(InputError, match="temperature must be > 0"):
        recovery(build("sampler", "sgld", {"temperature": 0.0}))
    objective = recovery(sampler)
    with pytest.raises(InputError, match=r"^objective\.sigma needs a noise-conditional energy"):
        objective.check_energy(build("energy", "mlp", event=(2,)), (2,))
    with pytest.raises(InputError, match=r"^energy\.noise_level must be < the first level"):
        objective.check_energy(build("energy", "mlp", {"noise_level": 0.8}, event=(2,)), (2,))
    with pytest.raises(InputError, match=r"^trainer\.batch_size must be >= the 2 levels"):
        objective(Curved(torch.ones(2)), Batch(torch.zeros(1, 2)), rng)
