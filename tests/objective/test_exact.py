"""Exact maximum likelihood: its log Z against closed forms, and a grid that follows the mass or raises an error."""

import math

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data.gaussian import Gaussian
from ebm_cli.energy._capabilities import HiddenUnits, offers
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.energy.shifted_quadratic import ShiftedQuadratic
from ebm_cli.grid import Grid
from ebm_cli.objective.exact import Exact
from tests.contract import build
from tests.energy.parts import Rows
from tests.objective.slope import assert_gradient_is_slope
from tests.sampler.discrete import MODELS, probabilities, sites_and_states

pytestmark = pytest.mark.usefixtures("float64")


class Hidden(nn.Module):
    """An energy without its closed form of log Z."""

    def __init__(self, energy: nn.Module) -> None:
        super().__init__()
        self.inner = energy

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def exact(d: int, temperature: float = 1.0, changes: dict[str, object] | None = None, std: float = 1.0) -> Exact:
    sampler = build("sampler", "sgld", {"temperature": temperature})
    data = Gaussian(d, 0.0, std, None, 0)
    return build("objective", "exact", changes, event=(d,), data=data, sampler=sampler)


def known(name: str, d: int) -> nn.Module:
    if name == "quadratic":
        return Quadratic([0.5 + i for i in range(d)], None)
    return ShiftedQuadratic([0.5 - 0.7 * i for i in range(d)], None)


@pytest.mark.parametrize("name", ["quadratic", "shifted_quadratic"])
@pytest.mark.parametrize(("d", "temperature"), [(1, 0.5), (2, 1.0), (3, 2.0)])
def test_the_grids_log_z_and_gradient_are_the_closed_forms(name: str, d: int, temperature: float) -> None:
    energy, objective = known(name, d), exact(d, temperature)
    x = torch.randn(32, d, generator=torch.Generator().manual_seed(1))
    (parameter,) = energy.parameters()
    losses = [objective(model, Batch(x), torch.Generator()).loss for model in (energy, Hidden(energy))]
    torch.testing.assert_close(losses[1], losses[0], rtol=0, atol=1e-6)
    own, found = (torch.autograd.grad(loss, parameter)[0] for loss in losses)
    torch.testing.assert_close(found, own, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_mixture_is_trained_by_its_formula_at_one_and_on_the_grid_elsewhere(temperature: float) -> None:
    energy, objective = GaussianMixture([[-2.0], [2.0]], [0.5, 0.8], [0.3, 0.7]), exact(1, temperature)
    outcome = objective(energy, Batch(torch.zeros(4, 1)), torch.Generator())
    x = torch.linspace(-12, 12, 20001)[:, None]
    expected = (-energy(x) / temperature).logsumexp(0) + math.log(24 / 20000)
    torch.testing.assert_close(outcome.scalars["log_z"].detach(), expected.detach(), rtol=0, atol=1e-6)


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    energy, objective = build("energy", "mlp", {"width": 6}, event=(2,)), exact(2, 2.0, {"tolerance": 1e-6})
    batch = Batch(torch.randn(16, 2, generator=torch.Generator().manual_seed(1)))
    assert_gradient_is_slope(lambda: objective(energy, batch, torch.Generator()).loss, energy)


def test_the_grid_grows_with_a_model_that_widens_and_narrows_with_one_that_shrinks() -> None:
    grid = Grid(torch.randn(1000, 1, generator=torch.Generator().manual_seed(1)), None, 1000, 1e-3)
    for a in (1.0, 1e-4, 1e4, 1.0):
        energy = Quadratic([a], None)
        found = grid.log_partition(Hidden(energy), 1.0)
        assert float(found.detach()) == pytest.approx(energy.log_z(1.0), abs=1e-6), a


def test_mass_that_comes_up_beyond_a_gap_is_found_when_the_grid_is_refreshed() -> None:
    grid = Grid(torch.tensor([[-5.0], [5.0]]), None, 2, 1e-3)
    near = GaussianMixture([[0.0], [15.0]], [0.3, 0.3], [1.0, 1e-30])
    both = GaussianMixture([[0.0], [15.0]], [0.3, 0.3], [1.0, 1.0])
    values = [float(grid.log_partition(Hidden(energy), 1.0).detach()) for energy in (near, both, both)]
    assert values == pytest.approx([0.0, -math.log(2), 0.0], abs=1e-3)


def test_a_model_that_no_box_holds_is_refused() -> None:
    energy = build("energy", "mlp", {"width": 4, "confinement": 0.0}, event=(2,))
    # Flat: by chance a network's first weights confine.
    torch.nn.init.zeros_(energy.net[-1].weight)
    with pytest.raises(InputError, match=r"Increase energy\.confinement"):
        exact(2)(energy, Batch(torch.zeros(4, 2)), torch.Generator())


def test_a_model_too_sharp_for_the_finest_grid_is_refused() -> None:
    means = [[x, y, 0.0] for x in (-1.0, 1.0) for y in (-1.0, 1.0)]
    energy = GaussianMixture(means, [0.01] * 4, [1.0] * 4)
    with pytest.raises(InputError, match="is too coarse"):
        exact(3)(Hidden(energy), Batch(torch.zeros(4, 3)), torch.Generator())


def test_a_saved_grid_goes_on_on_the_same_bits() -> None:
    energy, first, resumed = build("energy", "mlp", {"width": 6}, event=(2,)), exact(2), exact(2)
    batch = Batch(torch.zeros(4, 2))
    first(energy, batch, torch.Generator())
    resumed.load_state_dict(first.state_dict())
    with torch.no_grad():
        energy.net[0].weight.mul_(0.5)
    losses = [objective(energy, batch, torch.Generator()).loss for objective in (first, resumed)]
    assert torch.equal(*losses)


def test_many_dimensions_without_a_closed_form_are_refused_with_the_reason() -> None:
    objective = exact(4)
    objective.check_energy(Quadratic(1.0, (4,)), (4,))
    for energy in (Hidden(Quadratic(1.0, (4,))), build("energy", "mlp", event=(4,))):
        with pytest.raises(InputError, match=r"at most 3 dimensions, got 4"):
            objective.check_energy(energy, (4,))
    with pytest.raises(InputError, match="no closed form at temperature 2"):
        exact(4, 2.0).check_energy(GaussianMixture([[0.0] * 4], [1.0], [1.0]), (4,))


@pytest.mark.parametrize("model", ["ising with a field", "potts with a field", "cubic", "rbm"])
def test_the_loss_on_discrete_states_is_the_negative_log_likelihood(model: str, rng: torch.Generator) -> None:
    energy = MODELS[model]()
    _, x = sites_and_states(energy)
    sampler = build("sampler", "gibbs", {"temperature": 1.3})
    if offers(energy, HiddenUnits):
        energy.set_temperature(1.3)
    objective = build("objective", "exact", event=tuple(energy.event), data=Discrete(x), sampler=sampler)
    objective.check_energy(energy, tuple(energy.event))
    expected = -probabilities(energy, 1.3)[:7].log().mean()
    torch.testing.assert_close(objective(energy, Batch(x[:7]), rng).loss, expected)


def test_too_many_discrete_states_are_refused() -> None:
    energy = build("energy", "ising", {"separate": True}, event=(5, 5))
    sampler = build("sampler", "gibbs")
    objective = build("objective", "exact", event=(5, 5), data=Discrete(torch.ones(3, 5, 5)), sampler=sampler)
    with pytest.raises(InputError, match=r"at most 2\^16, got 2\^25"):
        objective.check_energy(energy, (5, 5))


class Discrete(Rows):
    """Rows of a discrete space."""

    space = "binary"
