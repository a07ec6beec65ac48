"""Objectives of conditional distributions against the errors that they minimize, over all states of small models."""

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from tests.contract import build
from tests.objective.slope import assert_gradient_is_slope
from tests.sampler.discrete import MODELS, probabilities, sites_and_states, state_numbers

pytestmark = pytest.mark.usefixtures("float64")
NAMES = ("pseudo_likelihood", "ratio_matching", "concrete_score_matching")
T = 1.3


def objective(name: str, energy: nn.Module, sites: int = 64) -> nn.Module:
    sampler = build("sampler", "gibbs", {"temperature": T})
    return build("objective", name, {"sites": sites}, event=tuple(energy.event), sampler=sampler)


def neighbors(energy: nn.Module) -> Tensor:
    """The number of each state's neighbor for every site and every shift of its value."""
    sites, x = sites_and_states(energy)
    numbers = sites.numbers(x)
    found = torch.empty(len(x), sites.count, sites.values - 1, dtype=torch.int64)
    for site in range(sites.count):
        for shift in range(1, sites.values):
            changed = numbers.clone()
            changed[:, site] = (changed[:, site] + shift) % sites.values
            found[:, site, shift - 1] = state_numbers(sites, sites.states(changed, x.dtype))
    return found


def divergence(name: str, p: Tensor, q: Tensor, around: Tensor) -> Tensor:
    """What an objective measures between the data's probabilities p and the model's q, from its definition."""
    own_p, own_q, other_p, other_q = p[:, None, None], q[:, None, None], p[around], q[around]
    if name == "pseudo_likelihood":
        conditional = (own_q / (own_q + other_q.sum(2, keepdim=True)))[..., 0]
        return -(p[:, None] * conditional.log()).sum()
    if name == "ratio_matching":
        forward = other_p / (own_p + other_p) - other_q / (own_q + other_q)
        back = own_p / (own_p + other_p) - own_q / (own_q + other_q)
        return 0.5 * (own_p * (forward**2 + back**2)).sum()
    return (own_p * (other_p / own_p - other_q / own_q) ** 2).sum()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("model", ["ising with a field", "potts", "cubic", "rbm"])
def test_the_loss_differs_from_its_divergence_by_a_constant(name: str, model: str, rng: torch.Generator) -> None:
    if name == "ratio_matching" and model == "potts":
        return
    truth, gaps = MODELS[model](), []
    p, around = probabilities(truth, T), neighbors(truth)
    _, x = sites_and_states(truth)
    for scale in (0.5, 1.0, 1.7):
        energy = Scaled(MODELS[model](), scale)
        losses = objective(name, truth).row_losses(energy, x, rng).detach()
        gaps.append(float(p @ losses - divergence(name, p, probabilities(energy, T), around)))
    assert max(gaps) - min(gaps) < 1e-10 * max(1.0, abs(gaps[0]))


class Scaled(nn.Module):
    """A multiple of an energy, without what the energy offers beyond E."""

    def __init__(self, energy: nn.Module, scale: float) -> None:
        super().__init__()
        self.energy, self.scale, self.space, self.event = energy, scale, energy.space, energy.event
        if hasattr(energy, "temperature"):
            energy.temperature = T  # pyright: ignore[reportAttributeAccessIssue]

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.energy(x)


@pytest.mark.parametrize("name", NAMES)
def test_a_few_sites_estimate_the_sum_over_all_without_bias(name: str, rng: torch.Generator) -> None:
    energy = MODELS["cubic"]()
    _, x = sites_and_states(energy)
    whole = objective(name, energy).row_losses(energy, x, rng).mean()
    few = torch.stack([objective(name, energy, 2).row_losses(energy, x, rng).mean() for _ in range(2000)])
    assert abs(few.mean() - whole) < 4 * few.std() / len(few) ** 0.5


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_the_slope_of_the_loss(name: str, rng: torch.Generator) -> None:
    energy = MODELS["rbm"]()
    batch = Batch(sites_and_states(energy)[1][::3])
    assert_gradient_is_slope(lambda: objective(name, energy)(energy, batch, rng).loss, energy)


def test_the_logits_of_conditionals_and_of_all_values_give_one_loss(rng: torch.Generator) -> None:
    energy = MODELS["potts with a field"]().requires_grad_(False)
    _, x = sites_and_states(energy)
    both = [objective("pseudo_likelihood", energy).row_losses(each, x, rng) for each in (energy, Scaled(energy, 1.0))]
    torch.testing.assert_close(*both)


def test_temperature_zero_is_refused() -> None:
    sampler = build("sampler", "asynchronous", {"temperature": 0.0})
    with pytest.raises(InputError, match=r"^sampler\.temperature must be > 0"):
        build("objective", "pseudo_likelihood", event=(3,), sampler=sampler)
