"""The contract of energies: one finite number per row, exact gradients, no side effects, and a finite Z."""

import pytest
import torch

from ebm_cli.data._sites import Sites
from ebm_cli.energy import DISCRETE, energy_and_grad, frozen, space_of
from ebm_cli.energy._capabilities import AnalyticGradient, Conditionals
from tests.contract import build, default_dtype, energies, jiggled, options


def space(name: str, event: tuple[int, ...]) -> str:
    return space_of(build("energy", name, event=event))


CASES = pytest.mark.parametrize(("name", "event"), energies())
SMOOTH = pytest.mark.parametrize(("name", "event"), [case for case in energies() if space(*case) == "continuous"])


def states(name: str, event: tuple[int, ...], rng: torch.Generator, n: int = 7) -> torch.Tensor:
    """Normal noise; uniform values of sites that are discrete."""
    if (kind := space(name, event)) in DISCRETE:
        return Sites(kind, event).uniform(n, rng, torch.float64)
    return 0.7 * torch.randn(n, *event, generator=rng, dtype=torch.float64)


def offers_gradient(name: str, event: tuple[int, ...]) -> bool:
    return isinstance(build("energy", name, event=event), AnalyticGradient)


def test_every_energy_is_covered() -> None:
    assert {name for name, _ in energies()} == set(options("energy"))


@CASES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_finite_number_a_row_in_the_type_of_the_state(
    name: str, event: tuple[int, ...], dtype: torch.dtype, rng: torch.Generator
) -> None:
    with default_dtype(dtype):
        energy = build("energy", name, event=event)
        e = energy(states(name, event, rng).to(dtype))
    assert e.shape == (7,) and e.dtype == dtype and e.isfinite().all()


@SMOOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_its_gradient_is_finite_and_in_the_type_of_the_state(
    name: str, event: tuple[int, ...], dtype: torch.dtype, rng: torch.Generator
) -> None:
    with default_dtype(dtype):
        e, grad = energy_and_grad(build("energy", name, event=event), states(name, event, rng).to(dtype))
    assert grad.shape == (7, *event) and e.dtype == grad.dtype == dtype and grad.isfinite().all()


@CASES
def test_a_rows_energy_does_not_depend_on_the_other_rows(
    name: str, event: tuple[int, ...], rng: torch.Generator, float64: None
) -> None:
    energy = build("energy", name, event=event).eval()
    x, more = states(name, event, rng), states(name, event, rng, 3)
    order = torch.randperm(7, generator=rng)
    torch.testing.assert_close(energy(x[order]), energy(x)[order])
    torch.testing.assert_close(energy(torch.cat([x, more]))[:7], energy(x))


@SMOOTH
def test_the_gradient_is_the_slope_of_the_energy(
    name: str, event: tuple[int, ...], rng: torch.Generator, float64: None
) -> None:
    energy = jiggled(build("energy", name, event=event), rng).eval()
    x, along, h = states(name, event, rng), states(name, event, rng), 1e-5
    e, grad = energy_and_grad(energy, x)
    with torch.no_grad():
        slope = (energy(x + h * along) - energy(x - h * along)) / (2 * h)
        torch.testing.assert_close(e, energy(x))
    torch.testing.assert_close((grad * along).flatten(1).sum(1), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "event"), [case for case in energies() if offers_gradient(*case)])
def test_an_analytic_gradient_is_autograds(
    name: str, event: tuple[int, ...], rng: torch.Generator, float64: None
) -> None:
    energy = jiggled(build("energy", name, event=event), rng).eval()
    x = states(name, event, rng).requires_grad_(True)
    e = energy(x)
    (grad,) = torch.autograd.grad(e.sum(), x)
    with torch.no_grad():
        own_e, own_grad = energy.energy_and_grad(x.detach())
    torch.testing.assert_close(own_e, e.detach())
    torch.testing.assert_close(own_grad, grad)


def offers_conditionals(name: str, event: tuple[int, ...]) -> bool:
    return isinstance(build("energy", name, event=event), Conditionals)


@pytest.mark.parametrize(("name", "event"), [case for case in energies() if offers_conditionals(*case)])
def test_site_logits_are_the_energies_of_all_values_and_groups_are_independent(
    name: str, event: tuple[int, ...], rng: torch.Generator, float64: None
) -> None:
    energy = jiggled(build("energy", name, event=event), rng).eval()
    sites, x = Sites(space_of(energy), event), states(name, event, rng)
    groups = energy.independent_sites()
    assert torch.equal(torch.cat(groups).sort().values, torch.arange(sites.count))
    for group in groups[:3]:
        logits = energy.site_logits(x, group)
        numbers = sites.numbers(x)
        for place, site in enumerate(group[:3]):
            e = []
            for value in range(sites.values):
                changed = numbers.clone()
                changed[:, site] = value
                e.append(energy(sites.states(changed, x.dtype)))
            torch.testing.assert_close(logits[:, place].log_softmax(1), (-torch.stack(e, 1)).log_softmax(1))
        # Other values of the group's own sites do not change the logits of any of them.
        other = numbers.clone()
        other[:, group] = 0
        torch.testing.assert_close(
            energy.site_logits(sites.states(other, x.dtype), group).log_softmax(2), logits.log_softmax(2)
        )


@SMOOTH
def test_energy_and_grad_leaves_nothing_behind(name: str, event: tuple[int, ...], rng: torch.Generator) -> None:
    energy = build("energy", name, event=event)
    x = states(name, event, rng).float()
    e, grad = energy_and_grad(energy, x)
    assert not (x.requires_grad or e.requires_grad or grad.requires_grad)
    assert all(p.grad is None and p.requires_grad for p in energy.parameters())
    with frozen(energy):
        energy_and_grad(energy, x)
        assert not any(p.requires_grad for p in energy.parameters())
    assert all(p.grad is None and p.requires_grad for p in energy.parameters())


@SMOOTH
def test_energy_grows_along_every_ray_so_that_z_is_finite(
    name: str, event: tuple[int, ...], rng: torch.Generator, float64: None
) -> None:
    energy = build("energy", name, event=event).eval()
    u = states(name, event, rng, 200)
    u = u / u.flatten(1).norm(dim=1).view(-1, *[1] * len(event))
    assert (energy(100 * u) > energy(u)).all()


@CASES
def test_weights_survive_saving(name: str, event: tuple[int, ...], rng: torch.Generator) -> None:
    trained = jiggled(build("energy", name, event=event), rng).eval()
    fresh = build("energy", name, event=event).eval()
    fresh.load_state_dict(trained.state_dict())
    x = states(name, event, rng).float()
    assert torch.equal(fresh(x), trained(x))


def test_frozen_restores_after_an_error() -> None:
    energy = build("energy", "mlp", event=(2,))
    energy.net[0].eval()
    next(energy.parameters()).requires_grad_(False)
    before = [m.training for m in energy.modules()], [p.requires_grad for p in energy.parameters()]
    with pytest.raises(ZeroDivisionError), frozen(energy):
        raise ZeroDivisionError
    assert ([m.training for m in energy.modules()], [p.requires_grad for p in energy.parameters()]) == before
