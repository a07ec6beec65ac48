"""Free energy along a coordinate: chains of two potentials against quadrature, at three temperatures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import norm

from ebm_cli.chain.chains import Chains
from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.diagnostic import ChainContext
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")
BINS = 12


def exact_profile(name: str, temperature: float, centers: np.ndarray) -> np.ndarray:
    """F of each bin, from a sum over a fine grid of the plane."""
    energy = build("energy", name, event=(2,))
    width = float(np.diff(centers).min())
    fine = torch.linspace(-4, 4, 801)
    with torch.no_grad():
        all_mass = (-energy(torch.cartesian_prod(fine, fine)) / temperature).exp().sum().item() * 0.01**2
        inside = torch.as_tensor((np.arange(20) + 0.5) / 20 - 0.5) * width
        s = (torch.as_tensor(centers)[:, None] + inside).flatten()
        density = (-energy(torch.cartesian_prod(s, fine)) / temperature).exp().view(-1, 20 * len(fine)).sum(1) * 0.01
    return -temperature * np.log(density.numpy() / 20 / all_mass)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.8, 1.0, 2.0])
@pytest.mark.parametrize("name", ["muller_brown", "double_well"])
def test_profile_is_that_of_quadrature(name: str, temperature: float, here: Path) -> None:
    words = [f"energy={name}", "sampler=tempering", f"sampler.temperature={temperature}", "dtype=float64"]
    chains = ["chains=64", "steps=1000", "burn_in=200", "thin=4", "threads=1", "seed=0", "out=run"]
    assert main(["sample", *words, *chains]) == 0
    line = ["diagnose", "run=run", "diagnostic=[free_energy]", f"diagnostic.free_energy.bins={BINS}"]
    assert main([*line, "threads=1", "out=d"]) == 0
    found = json.loads((here / "d" / "metrics.json").read_text())
    value, se = (np.array(found["free_energy"][key]) for key in ("value", "se"))
    exact = exact_profile(name, temperature, np.array(found["free_energy_at"]["value"]))
    assert len(value) >= BINS - 2 and (np.abs(value - exact) < 4 * se).all()
    assert (here / "d" / "figures" / "free_energy.png").exists()


def test_profile_of_independent_normal_draws_is_a_parabola() -> None:
    energy, x = build("energy", "quadratic", event=(2,)), np.random.default_rng(0).normal(size=(50, 2000, 2))
    rows = build("diagnostic", "free_energy", {"coordinate": 1})(ChainContext(Chains(x=x), energy, 1.0)).estimates
    value, se, at = (
        np.array(v) for v in (rows["free_energy"].value, rows["free_energy"].se, rows["free_energy_at"].value)
    )
    half = np.diff(at).min() / 2
    exact = -np.log((norm.cdf(at + half) - norm.cdf(at - half)) / (2 * half))
    assert len(value) == 30 and (np.abs(value - exact) < 4 * se).all()


def test_coordinates_that_do_not_exist_are_named() -> None:
    energy, chains = (
        build("energy", "double_well", event=(2,)),
        Chains(x=np.random.default_rng(0).normal(size=(4, 9, 2))),
    )
    with pytest.raises(InputError, match=r"^coordinate must be < 2"):
        build("diagnostic", "free_energy", {"coordinate": 2})(ChainContext(chains, energy, 1.0))


def test_fewer_than_four_chains_have_no_errors() -> None:
    energy, chains = (
        build("energy", "double_well", event=(2,)),
        Chains(x=np.random.default_rng(0).normal(size=(3, 9, 2))),
    )
    rows = build("diagnostic", "free_energy")(ChainContext(chains, energy, 1.0)).estimates
    assert rows["free_energy"].value is None and "at least 4 chains" in rows["free_energy"].reason
