"""Order of lattices against enumeration: magnetization, susceptibility and specific heat of an Ising model."""

import json
from pathlib import Path

import pytest
import torch

from ebm_cli.cli import main
from ebm_cli.energy.ising import Ising
from ebm_cli.energy.potts import Potts

COMMAND = ["sample", "energy=ising", "event=[4,4]", "chains=96", "steps=1200", "burn_in=50", "thin=6", "threads=1"]


@pytest.mark.usefixtures("float64")
def test_an_order_parameter_is_one_for_equal_sites_and_that_of_the_majority_otherwise() -> None:
    spins = Ising(1.0, 0.0, "lattice", "spin", False, (2, 5))
    x = torch.ones(3, 2, 5)
    x[1, 0] = -1
    x[2, 0, :2] = -1
    torch.testing.assert_close(spins.order_parameter(x), torch.tensor([1.0, 0.0, 0.6]))
    potts = Potts(1.0, 0.0, "complete", False, (6, 3))
    numbers = torch.tensor([[2] * 6, [0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 1, 2]])
    found = potts.order_parameter(potts.sites.states(numbers, torch.float64))
    torch.testing.assert_close(found, torch.tensor([1.0, 0.0, 0.5]))


@pytest.mark.parametrize("temperature", [1.8, 2.269, 3.5])
@pytest.mark.parametrize("sampler", ["wolff", "swendsen_wang"])
def test_order_is_that_of_all_states(sampler: str, temperature: float, here: Path) -> None:
    energy = Ising(1.0, 0.0, "lattice", "spin", False, (4, 4))
    x = energy.sites.enumerated(0, 2**16, torch.device("cpu"), torch.float32)
    with torch.no_grad():
        e, m = energy(x).double(), energy.order_parameter(x).double()
    p = (-e / temperature).softmax(0)
    expected = {
        "energy": p @ e,
        "magnetization": p @ m,
        "susceptibility": 16 * (p @ m**2 - (p @ m) ** 2) / temperature,
        "specific_heat": (p @ e**2 - (p @ e) ** 2) / (16 * temperature**2),
    }
    assert main([*COMMAND, f"sampler={sampler}", f"sampler.temperature={temperature}", "out=run", "seed=1"]) == 0
    found = json.loads((here / "run" / "metrics.json").read_text())
    for name, value in expected.items():
        assert found[name]["verdict"] != "refused"
        assert abs(found[name]["value"] - float(value)) < 4 * found[name]["se"], name
