"""Torsion energy: its terms, its wells, log Z, and populations of its basins against quadrature."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.diagnostic.inherent_structures import levels
from ebm_cli.energy.torsion import Torsion
from ebm_cli.wells.descent import descend
from tests.contract import build, config

pytestmark = pytest.mark.usefixtures("float64")

# Minima of the default terms in degrees, in increasing order of E.
WELLS = [(-70, -35), (-75, 145), (-155, 150), (60, 35), (75, -70)]


def grid(points: int) -> torch.Tensor:
    axis = 2 * math.pi * (torch.arange(points) + 0.5) / points - math.pi
    return torch.cartesian_prod(axis, axis)


def test_energy_is_the_fourier_series_of_its_terms_with_the_period(rng: torch.Generator) -> None:
    x = torch.randn(5, 2, generator=rng)
    u, v = x.unbind(1)
    expected = 0.5 * (2 * u - v).cos() + 0.3 * (2 * u - v).sin() - 1.5 * v.sin()
    energy = Torsion([[2, -1, 0.5, 0.3], [0, 1, 0.0, -1.5]])
    torch.testing.assert_close(energy(x), expected)
    torch.testing.assert_close(energy(x + 2 * math.pi * torch.tensor([1.0, -2.0])), expected)


def test_default_terms_have_five_wells_near_those_of_alanine_dipeptide() -> None:
    energy = build("energy", "torsion", event=(2,))
    minima, e = descend(energy, grid(24), 1e-6, 0.1, 2000)
    energies, number = levels(e.numpy(), 1e-4)
    degrees = np.degrees(np.angle(np.exp(1j * minima.numpy())))
    found = [degrees[number == k].mean(0) for k in range(len(energies))]
    assert len(found) == len(WELLS) and np.abs(np.array(found) - WELLS).max() < 8


def test_log_z_without_couplings_is_that_of_bessel_functions_and_by_default_that_of_a_grid(here: Path) -> None:
    words = ["evaluate", "energy=torsion", "metric=[log_z]", "threads=1", "dtype=float64"]
    assert main([*words, "energy.terms=[[1,0,-0.9,1.2],[0,1,2.0,0.0]]", "out=a"]) == 0
    exact = 2 * math.log(2 * math.pi) + math.log(np.i0(1.5)) + math.log(np.i0(2.0))
    assert json.loads((here / "a" / "metrics.json").read_text())["log_z"]["value"] == pytest.approx(exact, abs=1e-9)
    assert main([*words, "out=b"]) == 0
    summed = (-build("energy", "torsion", event=(2,))(grid(200))).logsumexp(0) + 2 * math.log(2 * math.pi / 200)
    found = json.loads((here / "b" / "metrics.json").read_text())["log_z"]["value"]
    assert found == pytest.approx(summed.item(), abs=1e-9)


@pytest.mark.parametrize("temperature", [1.0, pytest.param(2.0, marks=pytest.mark.slow)])
def test_populations_of_basins_are_those_of_quadrature(temperature: float, here: Path) -> None:
    words = ["energy=torsion", "sampler=hmc", f"sampler.temperature={temperature}", "dtype=float64"]
    chains = ["chains=64", "steps=1500", "burn_in=300", "thin=10", "threads=1", "seed=0"]
    assert main(["sample", *words, *chains, "out=run"]) == 0
    line = ["diagnose", "run=run", "diagnostic=[inherent_structures]", "diagnostic.inherent_structures.draws=30"]
    assert main([*line, "threads=1", "out=d"]) == 0
    found = json.loads((here / "d" / "metrics.json").read_text())
    energy, x = build("energy", "torsion", event=(2,)), grid(120)
    with torch.no_grad():
        weights = (-energy(x) / temperature).softmax(0).numpy()
    energies, number = levels(descend(energy, x, 1e-3, 0.1, 2000)[1].numpy(), 1e-3)
    exact = np.bincount(number, weights)
    assert found["minimum_energies"]["value"] == pytest.approx(energies.tolist(), abs=1e-5)
    fractions, errors = (np.array(found["minimum_fractions"][key]) for key in ("value", "se"))
    assert len(exact) == len(WELLS) and (np.abs(fractions - exact) < 4 * errors).all()


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([], "list of rows"),
        ([[1, 0, 0.5]], "list of rows"),
        ([[0, 0, 1.0, 0.0]], "not both 0"),
        ([[0.5, 1, 1.0, 0.0]], "integers"),
        ([[1, 0, "a", 0.0]], "terms must"),
    ],
)
def test_wrong_terms_are_named(terms: list, message: str) -> None:
    with pytest.raises(InputError, match=rf"^terms must.*{message}|^terms must"):
        build("energy", "torsion", {**config("energy", "torsion"), "terms": terms})
