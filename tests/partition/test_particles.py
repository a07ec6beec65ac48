"""Sequential Monte Carlo: unbiased for Z in groups that know nothing of one another."""

import pytest
import torch

from ebm_cli.energy import frozen
from ebm_cli.partition.particles import groups_of, particles
from ebm_cli.rng import generator
from tests.contract import build
from tests.partition.ways import led, way_to


@pytest.mark.parametrize("temperatures", [3, 12])
@pytest.mark.parametrize("name", ["quadratic", "funnel"])
def test_the_mean_over_groups_is_z(name: str, temperatures: int) -> None:
    """With three temperatures groups resample at every step."""
    changes = {"quadratic": {"a": [0.3, 1.0, 3.0, 9.0]}, "funnel": {"spread": 0.7}}[name]
    energy = build("energy", name, changes, event=(4,))
    way = way_to(energy, 1.0, 1.3 * energy.draw(300, 1.0, torch.Generator().manual_seed(0)))
    with frozen(way.space), torch.no_grad():
        schedule = led(way)[0].schedule(temperatures)
        log_z, seen = particles(way, schedule, 400, 16, generator(5, "particles", "cpu"))
    ratio = torch.exp(log_z + way.space.log_volume - energy.log_z(1.0))
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / 20
    # Where particles end is the model, E[z·∇U] = d: in few particles only weighed by their group's Z is that unbiased.
    excess = ratio * ((seen.z * seen.grad).sum(1).view(400, 16).mean(1) - 4)
    assert abs(float(excess.mean())) < 4 * float(excess.std()) / 20


def test_groups_are_independent() -> None:
    energy = build("energy", "quadratic", event=(2,))
    way = way_to(energy, 1.0, 1.5 * energy.draw(300, 1.0, torch.Generator().manual_seed(0)))
    with frozen(way.space), torch.no_grad():
        schedule = led(way)[0].schedule(4)
        log_z, seen = particles(way, schedule, 2, 8, generator(5, "particles", "cpu"))
    assert log_z.shape == (2,) and seen.z.shape == (16, 2)
    assert not {tuple(z) for z in seen.z[:8].tolist()} & {tuple(z) for z in seen.z[8:].tolist()}


def test_groups_are_four_to_sixteen_of_eight_where_there_are_as_many() -> None:
    assert [groups_of(n) for n in (16, 64, 128, 256, 1000)] == [(4, 4), (8, 8), (16, 8), (16, 16), (16, 62)]
