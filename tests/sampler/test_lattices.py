"""Lattices at and around the critical temperature: the energy per site against Kaufman's exact value."""

import math

import pytest
import torch

from ebm_cli.energy.ising import Ising
from ebm_cli.sampler.gibbs import Gibbs
from ebm_cli.sampler.swendsen_wang import SwendsenWang
from ebm_cli.sampler.wolff import Wolff

pytestmark = pytest.mark.usefixtures("float64")
CRITICAL = 2 / math.log(1 + 2**0.5)


def exact_energy(energy: Ising, temperature: float) -> float:
    """⟨E⟩ = T² ∂log Z/∂T, by a central difference of the closed form."""
    h = 1e-4
    slope = (energy.log_z(temperature + h) - energy.log_z(temperature - h)) / (2 * h)
    return temperature**2 * slope


def mean_energy(sampler: object, energy: Ising, sweeps: int, chains: int, rng: torch.Generator) -> tuple[float, float]:
    """The mean energy of independent chains, with its standard error over chains."""
    state = sampler.init(energy, energy.sites.uniform(chains, rng, torch.float64), rng)
    total = torch.zeros(chains)
    for sweep in range(2 * sweeps):
        state, _ = sampler.step(energy, state, rng)
        total += state.energy * (sweep >= sweeps)
    means = total / sweeps
    return float(means.mean()), float(means.std()) / chains**0.5


@pytest.mark.parametrize("temperature", [2.0, CRITICAL, 2.6])
@pytest.mark.parametrize("kind", [Wolff, SwendsenWang])
def test_clusters_give_the_exact_energy_of_a_lattice(kind: type, temperature: float, rng: torch.Generator) -> None:
    energy = Ising(1.0, 0.0, "lattice", "spin", False, (16, 16)).requires_grad_(False)
    sweeps = 150 if kind is SwendsenWang else 300
    found, error = mean_energy(kind(temperature), energy, sweeps, 64, rng)
    assert abs(found - exact_energy(energy, temperature)) < 4 * error


def test_colored_sweeps_give_the_exact_energy_above_the_critical_temperature(rng: torch.Generator) -> None:
    energy = Ising(1.0, 0.0, "lattice", "spin", False, (32, 32)).requires_grad_(False)
    found, error = mean_energy(Gibbs(2.8, "systematic"), energy, 200, 64, rng)
    assert abs(found - exact_energy(energy, 2.8)) < 4 * error
