"""Sequential Monte Carlo: unbiased for Z in independent groups."""

import pytest
import torch

from ebm_cli.energy import frozen
from ebm_cli.partition.particles import group_sizes, smc
from ebm_cli.rng import generator
from tests.contract import build
from tests.partition.paths import path_to, pilot_of


@pytest.mark.parametrize("temperatures", [3, 12])
@pytest.mark.parametrize("name", ["quadratic", "funnel"])
def test_smc_is_unbiased_over_groups(name: str, temperatures: int) -> None:
    """With three temperatures groups resample at every step."""
    changes = {"quadratic": {"a": [0.3, 1.0, 3.0, 9.0]}, "funnel": {"spread": 0.7}}[name]
    energy = build("energy", name, changes, event=(4,))
    path = path_to(energy, 1.0, 1.3 * energy.draw(300, 1.0, torch.Generator().manual_seed(0)))
    with frozen(path.space), torch.no_grad():
        schedule = pilot_of(path)[0].schedule(temperatures)
        log_z, seen = smc(path, schedule, 400, 16, generator(5, "particles", "cpu"))
    ratio = torch.exp(log_z + path.space.log_volume - energy.log_z(1.0))
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / 20
    # Where particles end is the model, E[z·∇U] = d: in few particles only weighed by their group's Z is that unbiased.
    excess = ratio * ((seen.z * seen.grad).sum(1).view(400, 16).mean(1) - 4)
    assert abs(float(excess.mean())) < 4 * float(excess.std()) / 20


def test_groups_share_no_particle() -> None:
    energy = build("energy", "quadratic", event=(2,))
    path = path_to(energy, 1.0, 1.5 * energy.draw(300, 1.0, torch.Generator().manual_seed(0)))
    with frozen(path.space), torch.no_grad():
        schedule = pilot_of(path)[0].schedule(4)
        log_z, seen = smc(path, schedule, 2, 8, generator(5, "particles", "cpu"))
    assert log_z.shape == (2,) and seen.z.shape == (16, 2)
    assert not {tuple(z) for z in seen.z[:8].tolist()} & {tuple(z) for z in seen.z[8:].tolist()}


def test_group_sizes_are_four_to_sixteen_groups_of_eight_or_more() -> None:
    assert [group_sizes(n) for n in (16, 64, 128, 256, 1000)] == [(4, 4), (8, 8), (16, 8), (16, 16), (16, 62)]
