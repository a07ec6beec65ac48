"""Base distributions: normalized, with draws that follow them and gradients equal to those of autograd."""

import math

import pytest
import torch
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.density import flow
from ebm_cli.path import _flow_base
from ebm_cli.path._base_distribution import BaseDistribution, StandardNormal, UniformBox
from ebm_cli.path._coordinates import Integrand, WhitenedEnergy
from ebm_cli.path._fitted_base import fitted_mixture
from ebm_cli.path._flow_base import FlowBase, fitted_flow
from tests.contract import build, grid, log_integral
from tests.partition.integrand import normal_rows

pytestmark = pytest.mark.usefixtures("float64")


def two_lumps(n: int, d: int) -> Tensor:
    """Return rows of width 0.7, half of them at −3 and half at +3 along the first coordinate."""
    rows = normal_rows(n, d, scale=0.7)
    rows[::2, 0] += 3
    rows[1::2, 0] -= 3
    return rows


def space_of(d: int, root: Tensor | None = None) -> WhitenedEnergy:
    """Return the coordinates of the states themselves, or those of a scale matrix."""
    energy = build("energy", "quadratic", event=(d,))
    return WhitenedEnergy(Integrand(energy, 1.0, (d,), None, 0), torch.zeros(d), torch.eye(d) if root is None else root)


def bases(d: int) -> dict[str, BaseDistribution]:
    return {
        "normal": StandardNormal(torch.zeros(d)),
        "mixture": fitted_mixture(space_of(d), two_lumps(400, d), 0.0, 1.1),
        "one Gaussian": fitted_mixture(space_of(d), normal_rows(12, d), 0.0, 1.1),
    }


def test_fitted_base_is_equal_in_any_coordinates_and_contains_the_noise() -> None:
    rows, root = two_lumps(400, 2), torch.tensor([[2.0, 0.0], [-0.7, 0.5]])
    log_z_settings, turned = (fitted_mixture(space_of(2, r), rows, 0.6, 1.0) for r in (None, root))
    z = torch.tensor([[0.3, -0.2], [1.0, 2.0]])
    log_det = float(torch.linalg.slogdet(root).logabsdet)
    u = log_z_settings.energy_and_grad(z @ root.T)[0] - log_det
    torch.testing.assert_close(turned.energy_and_grad(z)[0], u)
    drawn = log_z_settings.draw(20_000, torch.Generator().manual_seed(0))[:, 1]
    # 0.7² of the rows plus 0.6² of the noise, within the error of 400 rows and 20,000 draws.
    assert abs(float(drawn.var()) - 0.85) < 4 * 0.85 * (2 / 400) ** 0.5


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("name", ["normal", "mixture", "one Gaussian"])
def test_base_integrates_to_one(name: str, d: int) -> None:
    base = bases(d)[name]
    assert log_integral(lambda z: -base.energy_and_grad(z)[0], d, 15.0, 601) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", ["normal", "mixture"])
def test_draws_have_mean_and_variance_of_the_density(name: str) -> None:
    base, n = bases(1)[name], 40_000
    grid = torch.linspace(-15, 15, 20_001)[:, None]
    p = (-base.energy_and_grad(grid)[0]).exp() * 30 / 20_000
    mean = float((p * grid[:, 0]).sum())
    moments = [float((p * (grid[:, 0] - mean) ** k).sum()) for k in (2, 4)]
    z = base.draw(n, torch.Generator().manual_seed(0))[:, 0]
    assert abs(float(z.mean()) - mean) < 4 * (moments[0] / n) ** 0.5
    assert abs(float((z - mean).square().mean()) - moments[0]) < 4 * ((moments[1] - moments[0] ** 2) / n) ** 0.5


@pytest.mark.parametrize("name", ["normal", "mixture", "one Gaussian"])
def test_gradient_equals_autograd(name: str, rng: torch.Generator) -> None:
    base = bases(3)[name]
    z = (4 * torch.randn(20, 3, generator=rng)).requires_grad_(True)
    u, grad = base.energy_and_grad(z)
    if u.requires_grad:
        torch.testing.assert_close(grad, torch.autograd.grad(u.sum(), z)[0])
    else:
        nearby = base.energy_and_grad(z + 1e-6 * grad)[0] - u
        torch.testing.assert_close(nearby, 1e-6 * grad.square().sum(1), rtol=1e-3, atol=1e-9)


def test_fitted_base_has_several_components_for_two_lumps_and_one_for_few_rows() -> None:
    assert len(fitted_mixture(space_of(2), two_lumps(400, 2), 0.0, 1.1).means) >= 2
    assert bases(6)["one Gaussian"].description == "a Gaussian"


def test_uniform_box_is_uniform_inside_and_infinite_outside() -> None:
    box = UniformBox(torch.zeros(3))
    z = box.draw(3000, torch.Generator().manual_seed(0))
    assert (z.abs() < 1).all()
    assert abs(float(z.square().mean()) - 1 / 3) < 4 * (4 / 45 / 9000) ** 0.5
    u, grad = box.energy_and_grad(torch.tensor([[0.5, -0.5, 0.99], [0.0, 1.01, 0.0]]))
    assert u.tolist() == [pytest.approx(3 * math.log(2)), math.inf] and not grad.any()


@pytest.fixture
def flow_base(monkeypatch: pytest.MonkeyPatch) -> FlowBase:
    """Return a small flow of two lumps in two dimensions, in coordinates that are not the states."""
    monkeypatch.setattr(flow, "HIDDEN", (16, 16))
    monkeypatch.setattr(flow, "MAX_STEPS", 50)
    root = torch.tensor([[2.0, 0.0], [-0.7, 0.5]])
    return fitted_flow(space_of(2, root), two_lumps(400, 2), 0.3, 1.1)


def test_flow_base_is_normalized_and_its_draws_follow_it(flow_base: FlowBase) -> None:
    z, cell = grid(2, 12.0, 321)
    with torch.no_grad():
        p = torch.cat([(-flow_base.energy_and_grad(part)[0]).exp() for part in z.split(20_000)]) * cell
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-3)
    n = 4000
    drawn = flow_base.draw(n, torch.Generator().manual_seed(0))
    for of in (lambda z: z[:, 0], lambda z: z[:, 1], lambda z: z[:, 0] ** 2, lambda z: z[:, 1] ** 2):
        mean = float((p * of(z)).sum())
        std = float((p * (of(z) - mean) ** 2).sum()) ** 0.5
        assert abs(float(of(drawn).mean()) - mean) < 4 * std / n**0.5


def test_gradient_of_flow_base_equals_differences(flow_base: FlowBase, rng: torch.Generator) -> None:
    z, step = 2 * torch.randn(20, 2, generator=rng), 1e-6 * torch.randn(20, 2, generator=rng)
    change = flow_base.energy_and_grad(z + step)[0] - flow_base.energy_and_grad(z - step)[0]
    grad = flow_base.energy_and_grad(z)[1]
    torch.testing.assert_close(change, 2 * (grad * step).sum(1), rtol=1e-4, atol=1e-9)


def test_flow_without_its_library_is_refused_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_flow_base, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"^base=flow needs zuko\. Type pip install 'ebm-cli\[baselines\]'"):
        build("path", "base", {"base": "flow"})
