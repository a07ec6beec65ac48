"""Random coordinates are unknown."""

import torch

from ebm_cli.condition.missing import Missing


def test_coordinates_are_unknown_with_the_given_probability() -> None:
    rng, n = torch.Generator().manual_seed(0), 20_000
    unknown = ~Missing(0.3).known(torch.zeros(n), rng)
    assert abs(float(unknown.double().mean()) - 0.3) < 4 * (0.3 * 0.7 / n) ** 0.5


def test_at_least_one_coordinate_is_unknown() -> None:
    rng = torch.Generator().manual_seed(0)
    assert all(not Missing(1e-6).known(torch.zeros(3), rng).all() for _ in range(200))
