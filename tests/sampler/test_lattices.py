"""Lattices at and around the critical temperature: the energy per site against Kaufman's exact value."""

import math

import numpy as np
import pytest
import torch

from ebm_cli.energy.ising import Ising
from ebm_cli.sampler.gibbs import Gibbs
from ebm_cli.sampler.swendsen_wang import SwendsenWang
from ebm_cli.sampler.wolff import Wolff
from scripts.ising_critical import CRITICAL, Times, exact_energy

pytestmark = pytest.mark.usefixtures("float64")


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
    assert abs(found - 16**2 * exact_energy(16, temperature)) < 4 * error


def test_colored_sweeps_give_the_exact_energy_above_the_critical_temperature(rng: torch.Generator) -> None:
    energy = Ising(1.0, 0.0, "lattice", "spin", False, (32, 32)).requires_grad_(False)
    found, error = mean_energy(Gibbs(2.8, "systematic"), energy, 200, 64, rng)
    assert abs(found - 32**2 * exact_energy(32, 2.8)) < 4 * error


def test_the_exact_energy_is_the_mean_over_all_states() -> None:
    energy = Ising(1.0, 0.0, "lattice", "spin", False, (4, 4)).requires_grad_(False)
    e = energy(energy.sites.all_states(torch.device("cpu"), torch.float64))
    mean = float((-e / CRITICAL).softmax(0) @ e) / 16
    assert exact_energy(4, CRITICAL) == pytest.approx(mean, rel=1e-6)


def test_a_fit_gives_the_exponents_of_power_laws_and_their_errors() -> None:
    sizes = np.array([8.0, 16.0, 32.0])
    tau = np.stack([0.3 * sizes**2.1, 2.0 * sizes**0.25], 1)
    (z, se, _), (other, *_) = Times(sizes.tolist(), tau, 0.1 * tau).exponents()
    assert (z, other) == pytest.approx((2.1, 0.25))
    # Equal relative errors: the error of a slope over three points that are log 2 apart.
    assert se == pytest.approx(0.1 / (2**0.5 * math.log(2)))
