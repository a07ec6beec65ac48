"""Swendsen-Wang: a single cluster of all sites takes every value equally often; its matrix is in test_wolff.py."""

import torch

from ebm_cli.energy.potts import Potts
from ebm_cli.sampler.swendsen_wang import SwendsenWang


def test_without_thermal_motion_all_sites_change_together_to_any_value(rng: torch.Generator) -> None:
    energy, sampler = Potts(1.0, 0.0, "lattice", False, (3, 3, 3)), SwendsenWang(1e-3)
    x = energy.sites.states(torch.ones(9000, 9, dtype=torch.int64), torch.float32)
    numbers = energy.sites.numbers(sampler.step(energy, sampler.init(energy, x, rng), rng)[0].x)
    assert (numbers == numbers[:, :1]).all()
    shares = torch.bincount(numbers[:, 0], minlength=3) / 9000
    assert ((shares - 1 / 3).abs() < 4 * (2 / 9 / 9000) ** 0.5).all()
