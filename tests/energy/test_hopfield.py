"""Hopfield network: energies never rise, stored patterns are minima, and both kinds of values have one energy."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.energy.hopfield import Hopfield
from ebm_cli.sampler.asynchronous import Asynchronous
from tests.energy.parts import Rows

pytestmark = pytest.mark.usefixtures("float64")


def rows(event: tuple[int, ...] | None, count: int = 3) -> Rows:
    """Patterns for the shared tests."""
    generator = torch.Generator().manual_seed(0)
    return Rows(2.0 * torch.randint(2, (count, *(event or (10,))), generator=generator) - 1)


def symmetric(n: int, rng: torch.Generator) -> Hopfield:
    energy = Hopfield("zero", "spin", (n,), None)
    with torch.no_grad():
        energy.weight.copy_(torch.randn(n, n, generator=rng))
        energy.bias.copy_(torch.randn(n, generator=rng))
    return energy.requires_grad_(False)


def test_asynchronous_updates_never_raise_the_energy(rng: torch.Generator) -> None:
    """10⁶ updates over 5 random symmetric W: 50 units, 160 chains, 25 sweeps."""
    sampler, updates = Asynchronous(0.0), 0
    for _ in range(5):
        energy = symmetric(50, rng)
        state = sampler.init(energy, energy.sites.uniform(160, rng, torch.float64), rng)
        for _ in range(25):
            x, e = state.x, state.energy
            for site in torch.randint(50, (50, 1), generator=rng).unbind(0):
                force = energy.site_logits(x, site)
                numbers = energy.sites.numbers(x)
                own = numbers[:, site]
                best = force.argmax(2)
                better = force.gather(2, best[..., None]) > force.gather(2, own[..., None])
                numbers[:, site] = torch.where(better[..., 0], best, own)
                x = energy.sites.states(numbers, torch.float64)
                after = energy(x)
                assert (after - e <= 1e-12 * e.abs()).all()
                e, updates = after, updates + len(x)
            state, _ = sampler.step(energy, state, rng)
            assert (state.energy <= energy(state.x) + 1e-12).all()
    assert updates == 1_000_000


def test_pseudo_inverse_stores_every_pattern_as_a_minimum(rng: torch.Generator) -> None:
    patterns = rows((60,), 25)
    energy = Hopfield("pseudo_inverse", "spin", None, patterns).requires_grad_(False)
    sampler = Asynchronous(0.0)
    state = sampler.init(energy, patterns.x, rng)
    for _ in range(5):
        state, _ = sampler.step(energy, state, rng)
    assert torch.equal(state.x, patterns.x)


@pytest.mark.parametrize("storage", ["hebbian", "pseudo_inverse"])
def test_units_of_both_kinds_of_values_have_the_same_energies(storage: str, rng: torch.Generator) -> None:
    patterns = rows((12,))
    spin, binary = (Hopfield(storage, values, None, patterns) for values in ("spin", "binary"))
    s = spin.sites.uniform(30, rng, torch.float64)
    difference = spin(s) - binary((s + 1) / 2)
    torch.testing.assert_close(difference, difference[:1].expand(30))


@pytest.mark.parametrize("storage", ["hebbian", "pseudo_inverse"])
def test_rows_of_zeros_and_ones_are_stored_like_the_same_rows_of_spins(storage: str) -> None:
    patterns = rows((12,))
    spin, binary = (Hopfield(storage, "binary", None, data) for data in (patterns, Rows((patterns.x + 1) / 2)))
    torch.testing.assert_close(spin.weight, binary.weight)
    torch.testing.assert_close(spin.bias, binary.bias)


def test_it_needs_rows_to_store() -> None:
    with pytest.raises(InputError, match="data must be chosen for an energy that stores its rows"):
        Hopfield("hebbian", "spin", (4,), None)
