"""Contrastive training: the gradient is the difference of the phases, and chains continue."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.energy.shifted_quadratic import ShiftedQuadratic
from ebm_cli.objective.contrastive import Contrastive
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")


def objective(temperature: float, steps: int = 3, size: int = 64) -> Contrastive:
    sampler = build("sampler", "sgld", {"step_size": 0.2, "temperature": temperature})
    start = build("start", "replay", {"size": size, "restart": 0.0}, event=(2,))
    return build("objective", "contrastive", {"steps": steps}, sampler=sampler, start=start, engine="eager")


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_gradient_is_the_difference_of_the_phases_over_t(temperature: float, rng: torch.Generator) -> None:
    energy = build("energy", "mlp", {"width": 8}, event=(2,))
    outcome = objective(temperature)(energy, Batch(torch.randn(16, 2, generator=rng)), rng)
    outcome.loss.backward()
    assert outcome.x_model is not None and not outcome.x_model.requires_grad
    for name, parameter in energy.named_parameters():
        positive, negative = (
            torch.autograd.grad(energy(x).mean(), parameter)[0] for x in (outcome.x_data, outcome.x_model)
        )
        torch.testing.assert_close(parameter.grad, (positive - negative) / temperature, msg=name)


def test_both_phases_are_of_the_energy_that_chains_follow_without_dropout(rng: torch.Generator) -> None:
    energy = build("energy", "autoencoder", {"width": 32, "dropout": 0.5, "ensemble_size": 2}, event=(2,)).train()
    outcome = objective(1.0)(energy, Batch(torch.randn(16, 2, generator=rng)), rng)
    assert all(module.training for module in energy.modules())
    energy.eval()
    assert outcome.x_model is not None and outcome.e_model is not None
    torch.testing.assert_close(outcome.e_data, energy(outcome.x_data))
    torch.testing.assert_close(outcome.e_model, energy(outcome.x_model))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_on_the_shifted_quadratic_the_gradient_is_the_difference_of_means(
    temperature: float, rng: torch.Generator
) -> None:
    energy = ShiftedQuadratic([0.5, -1.0], None)
    outcome = objective(temperature)(energy, Batch(torch.randn(16, 2, generator=rng)), rng)
    outcome.loss.backward()
    assert outcome.x_model is not None
    torch.testing.assert_close(energy.theta.grad, (outcome.x_model.mean(0) - outcome.x_data.mean(0)) / temperature)


def test_training_takes_the_shifted_quadratic_to_the_datas_mean(rng: torch.Generator) -> None:
    mean = torch.tensor([1.0, -2.0])
    energy, loss = ShiftedQuadratic([0.0, 0.0], None), objective(1.0, size=256)
    optimizer = torch.optim.SGD(energy.parameters(), lr=0.2)
    path = []
    for _ in range(600):
        optimizer.zero_grad()
        loss(energy, Batch(mean.expand(256, 2)), rng).loss.backward()
        optimizer.step()
        path.append(energy.theta.detach().clone())
    # Chains are noisy, so θ wanders about its limit; blocks much longer than its memory give the error.
    blocks = torch.stack(path[100:]).view(20, 25, 2).mean(1)
    error = blocks.std(0) / 20**0.5
    assert error.max() < 0.05
    assert ((blocks.mean(0) - mean).abs() < 4 * error).all()


def test_chains_grow_older_with_replay(rng: torch.Generator) -> None:
    energy, loss = ShiftedQuadratic([0.0, 0.0], None), objective(1.0, steps=3, size=16)
    batch = Batch(torch.zeros(16, 2))
    ages = [float(loss(energy, batch, rng).scalars["chain_age"]) for _ in range(4)]
    assert ages == [3.0, 6.0, 9.0, 12.0]


def test_chains_go_on_where_the_last_step_left_them(rng: torch.Generator) -> None:
    energy, loss = ShiftedQuadratic([0.0, 0.0], None), objective(1.0, size=16)
    outcome = loss(energy, Batch(torch.zeros(16, 2)), rng)
    begun = loss.start.draw(16, None, rng)
    assert outcome.x_model is not None
    torch.testing.assert_close(begun.x.sort(0).values, outcome.x_model.sort(0).values, rtol=0, atol=0)


def test_there_are_as_many_chains_as_it_is_told_or_as_rows(rng: torch.Generator) -> None:
    energy, batch = ShiftedQuadratic([0.0, 0.0], None), Batch(torch.ones(16, 2))
    sampler, start = build("sampler", "sgld"), build("start", "replay", {"size": 32}, event=(2,))
    for chains in (5, 20, None):
        loss = build("objective", "contrastive", {"chains": chains}, sampler=sampler, start=start, engine="eager")
        outcome = loss(energy, batch, rng)
        assert outcome.x_model is not None and outcome.e_model is not None
        assert len(outcome.x_model) == len(outcome.e_model) == (chains or 16) and len(outcome.e_data) == 16
    with pytest.raises(InputError, match=r"^chains must be "):
        build("objective", "contrastive", {"chains": 0}, sampler=sampler, start=start, engine="eager")


def test_chains_wait_as_long_as_they_are_told_and_a_saved_wait_goes_on(rng: torch.Generator) -> None:
    def waiting() -> Contrastive:
        sampler = build("sampler", "sgld", {"step_size": 0.2})
        start = build("start", "replay", {"size": 16, "restart": 0.0}, event=(2,))
        return build(
            "objective", "contrastive", {"steps": 3, "delay_steps": 2}, sampler=sampler, start=start, engine="eager"
        )

    energy, first, resumed = ShiftedQuadratic([0.0, 0.0], None), waiting(), waiting()
    batch = Batch(torch.ones(16, 2))
    outcome = first(energy, batch, rng)
    assert outcome.x_model is None and float(outcome.loss.detach()) == 0
    resumed.load_state_dict(first.state_dict())
    assert [resumed(energy, batch, rng).x_model is None for _ in range(2)] == [True, False]


def test_temperature_zero_is_refused() -> None:
    with pytest.raises(InputError, match=r"sampler\.temperature must be > 0"):
        objective(0.0)
