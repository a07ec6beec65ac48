"""Annealed paths in both directions from exact draws, against closed forms and a transfer matrix."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from ebm_cli.energy import frozen
from ebm_cli.energy._capabilities import ExactDraws
from ebm_cli.partition.annealing import ais_forward, ais_reverse
from ebm_cli.partition.bracket import bracket
from ebm_cli.partition.bridge import bennett
from ebm_cli.partition.log_weights import mean_and_error
from ebm_cli.rng import generator
from scripts.hard_energies import log_z_by_transfer_matrix
from tests.contract import build
from tests.partition.integrand import normal_rows
from tests.partition.paths import Counted, path_to, pilot_of

N = 400


def mixture() -> nn.Module:
    """Two wells of 16 dimensions, 2.4 standard deviations apart."""
    means = [[1.2] + 15 * [0.0], [-1.2] + 15 * [0.0]]
    return build("energy", "gaussian_mixture", {"means": means, "stds": [1.0, 0.8], "weights": [0.3, 0.7]})


Case = tuple[Callable[[], nn.Module], float, float]
CASES: dict[str, Case] = {
    "quadratic of 2": (lambda: build("energy", "quadratic", {"a": [0.5, 9.0]}, event=(2,)), 2.0, 1.5),
    "quadratic of 32": (lambda: build("energy", "quadratic", event=(32,)), 1.0, 1.3),
    "mixture of 16": (mixture, 1.0, 1.0),
    "warm funnel": (lambda: build("energy", "funnel", {"spread": 0.7}, event=(5,)), 2.0, 1.0),
    "cold funnel": (lambda: build("energy", "funnel", {"spread": 1.0}, event=(5,)), 0.5, 1.0),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_both_directions_agree_with_the_closed_form(case: str) -> None:
    make, T, scale = CASES[case]
    energy = make()
    assert isinstance(energy, ExactDraws)
    drawn = energy.draw(2 * N, T, torch.Generator().manual_seed(2)).detach()
    path = path_to(energy, T, scale * drawn[:N])
    exact = energy.log_z(T) - path.space.log_volume
    with frozen(path.space), torch.no_grad():
        schedule = pilot_of(path, N)[0].schedule(24)
        forth = ais_forward(path, schedule, N, generator(1, "forth", "cpu"))[0].numpy()
        back = ais_reverse(path, schedule, path.space.coordinates(drawn[N:]), generator(1, "back", "cpu")).numpy()
    estimate = bracket(forth, None, "ais").estimate
    assert abs(estimate.value - exact) < 4 * estimate.se
    below, below_error = mean_and_error(forth)
    above, above_error = mean_and_error(back)
    assert below - 4 * below_error < exact < above + 4 * above_error
    # Jarzynski's identity backwards: ⟨1/w⟩ = 1/Z.
    reciprocal = bracket(-back, None, "ais").estimate
    assert abs(-reciprocal.value - exact) < 4 * reciprocal.se
    value, se = bennett(forth, back[:, None])
    assert abs(value - exact) < 4 * se and se < 1.05 * min(estimate.se, reciprocal.se)


@pytest.mark.usefixtures("float64")
def test_forward_paths_agree_with_the_transfer_matrix_of_a_ring() -> None:
    energy = build("energy", "phi4", event=(8,))
    m2, coupling = energy.mass_squared.item(), energy.coupling.item()
    path = path_to(energy, 1.0, normal_rows(N, 8))
    with frozen(path.space), torch.no_grad():
        forth = ais_forward(path, pilot_of(path)[0].schedule(24), N, generator(1, "forth", "cpu"))[0].numpy()
    estimate = bracket(forth + path.space.log_volume, None, "ais").estimate
    assert abs(estimate.value - log_z_by_transfer_matrix(m2, coupling, 8, 1.0)) < 4 * estimate.se


def test_paths_to_a_model_equal_to_the_base_have_equal_weights(rng: torch.Generator) -> None:
    energy = build("energy", "quadratic", event=(3,))
    path = path_to(energy, 1.0, normal_rows(50, 3))
    exact = path_to(energy, 1.0, normal_rows(50, 3))
    path.space.center.zero_()
    path.space.scale_matrix.copy_(torch.eye(3))
    schedule = pilot_of(exact)[0].schedule(5)
    with frozen(path.space), torch.no_grad():
        forth, seen = ais_forward(path, schedule, 20, rng)
        back = ais_reverse(path, schedule, seen.z, rng)
    for log_w in (forth, back):
        np.testing.assert_allclose(log_w.numpy(), energy.log_z(1.0), atol=1e-4)


def test_path_costs_its_trajectories_and_one_evaluation(rng: torch.Generator) -> None:
    counted = Counted(build("energy", "quadratic", event=(4,)))
    path = path_to(counted, 1.0, normal_rows(50, 4))
    schedule = pilot_of(path)[0].schedule(6)
    for walk in (
        lambda: ais_forward(path, schedule, 10, rng),
        lambda: ais_reverse(path, schedule, torch.zeros(10, 4), rng),
    ):
        before, spent = counted.states, path.budget.used
        with frozen(path.space), torch.no_grad():
            walk()
        assert counted.states - before == 10 * (6 * 3 + 1) == path.budget.used - spent
