"""Annealed importance sampling: closed forms and a transfer matrix, ends on their own sides, no end where none is."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm_cli.energy import ExactDraws, frozen
from ebm_cli.estimate import Estimate
from ebm_cli.partition.annealing import Schedule, annealed, forward, normal, pilot, reverse
from ebm_cli.partition.bracket import Backward, average, bracket, z_of
from ebm_cli.partition.recipe import Recipe
from ebm_cli.partition.whitened import Whitened, whitened
from tests.contract import build
from tests.energy.test_phi4 import log_z_by_transfer_matrix
from tests.partition.integrand import back, integrand, normal_rows

N = 400
OK = Estimate(1.0, reason="chains agree")
RECIPE = Recipe("ais", chains=N, temperatures=24, leapfrog_steps=3, steps=100)


def mixture() -> nn.Module:
    """Two wells of 16 dimensions, 2.4 spreads apart."""
    means = [[1.2] + 15 * [0.0], [-1.2] + 15 * [0.0]]
    return build("energy", "gaussian_mixture", {"means": means, "stds": [1.0, 0.8], "weights": [0.3, 0.7]})


CASES = {
    "quadratic of 2": (lambda: build("energy", "quadratic", {"a": [0.5, 9.0]}, event=(2,)), 2.0, 1.5),
    "quadratic of 32": (lambda: build("energy", "quadratic", event=(32,)), 1.0, 1.3),
    "mixture of 16": (mixture, 1.0, 1.0),
    "warm funnel": (lambda: build("energy", "funnel", {"spread": 0.7}, event=(5,)), 2.0, 1.0),
    "cold funnel": (lambda: build("energy", "funnel", {"spread": 1.0}, event=(5,)), 0.5, 1.0),
}


def paths(energy: nn.Module, T: float, rows: Tensor | None = None) -> tuple[Whitened, Schedule, np.ndarray]:
    """Coordinates, schedule and log weights of N paths forth."""
    space, rng = whitened(integrand(energy, T, rows)), torch.Generator().manual_seed(1)
    with frozen(space), torch.no_grad():
        schedule = pilot(space, RECIPE, normal(space, N, rng), rng)
        forth, _ = forward(space, schedule, normal(space, N, rng), rng)
    return space, schedule, forth.numpy() + offset(space)


def offset(space: Whitened) -> float:
    return space.log_volume + 0.5 * len(space.middle) * math.log(2 * math.pi)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_both_directions_agree_with_the_closed_form_from_their_own_sides(case: str) -> None:
    make, T, scale = CASES[case]
    energy = make()
    assert isinstance(energy, ExactDraws)
    exact = energy.log_z(T)
    drawn = energy.draw(2 * N, T, torch.Generator().manual_seed(2)).detach()
    space, schedule, forth = paths(energy, T, scale * drawn[:N])
    with frozen(space), torch.no_grad():
        z = back(space, drawn[N:])
        above = reverse(space, schedule, z, torch.Generator().manual_seed(3)).numpy() + offset(space)
    estimate = bracket(forth, None)
    assert abs(estimate.value - exact) < 4 * estimate.se
    below, below_error = average(forth)
    upper, upper_error = average(above)
    assert below - 4 * below_error < exact < upper + 4 * upper_error
    # Jarzynski's identity backwards: ⟨1/w⟩ = 1/Z.
    reciprocal = bracket(-above, None)
    assert abs(-reciprocal.value - exact) < 4 * reciprocal.se


@pytest.mark.usefixtures("float64")
def test_a_ring_of_eight_sites_is_what_its_transfer_matrix_says() -> None:
    energy = build("energy", "phi4", event=(8,))
    m2, coupling = energy.mass_squared.item(), energy.coupling.item()
    estimate = bracket(paths(energy, 1.0, normal_rows(N, 8))[2], None)
    assert abs(estimate.value - log_z_by_transfer_matrix(m2, coupling, 8, 1.0)) < 4 * estimate.se


def test_the_path_is_frozen_and_every_step_of_it_adds_about_as_much_spread() -> None:
    energy = build("energy", "quadratic", event=(8,))
    space, schedule, _ = paths(energy, 1.0, normal_rows(N, 8, scale=3.0))
    assert schedule.betas[0] == 0 and schedule.betas[-1] == 1 and (np.diff(schedule.betas) > 0).all()
    assert all(kernel.adapt == "none" for kernel in schedule.kernels) and len(schedule.kernels) == RECIPE.temperatures
    # Variance of ½‖z‖² − U at β is d/2·((s² − 1)/(1 + β(s² − 1)))², the normal of s spreads: s is 3.3 but for chance.
    more = float(space.root.diagonal().square().mean()) - 1
    lengths = np.diff(np.log(1 + np.array(schedule.betas) * more))
    assert lengths.max() < 2.5 * lengths.mean()


def test_a_bracket_holds_the_truth_and_says_how_it_was_found() -> None:
    energy = build("energy", "quadratic", event=(4,))
    recipe = Recipe("ais", chains=32, temperatures=20, leapfrog_steps=3, steps=200)
    found = annealed(whitened(integrand(energy, 1.0, normal_rows(300, 4, scale=1.4))), recipe, seed=0)
    assert found.verdict != "refused" and "32 paths count as" in found.reason
    assert found.lower < energy.log_z(1.0) < found.upper
    assert found.lower < found.value < found.upper and abs(found.value - energy.log_z(1.0)) < 4 * found.se


def test_a_base_far_away_and_three_temperatures_are_refused() -> None:
    energy = build("energy", "quadratic", event=(16,))
    recipe = Recipe("ais", chains=32, temperatures=3, leapfrog_steps=1, steps=100)
    found = annealed(whitened(integrand(energy, 1.0, normal_rows(100, 16, middle=12.0, scale=0.5))), recipe, seed=0)
    assert found.value is None and "collapsed" in found.reason and "raise temperatures" in found.reason


def test_chains_that_sit_in_one_of_two_modes_give_no_pessimistic_end() -> None:
    means = [[-8.0, 0.0, 0.0, 0.0], [8.0, 0.0, 0.0, 0.0]]
    energy = build("energy", "gaussian_mixture", {"means": means})
    rows = normal_rows(200, 4, scale=0.7) - torch.tensor([8.0, 0.0, 0.0, 0.0])
    recipe = Recipe("ais", chains=32, temperatures=10, leapfrog_steps=3, steps=200)
    found = annealed(whitened(integrand(energy, 1.0, rows)), recipe, seed=0)
    assert found.upper is None and found.verdict == "caution" and "no pessimistic end: not mixed" in found.reason


def weights(mean: float, sd: float, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, sd, n)


def test_the_error_and_both_ends_are_right_as_often_as_they_say() -> None:
    # log w of mean −½s² has ⟨w⟩ = 1; of mean ½s² it has ⟨1/w⟩ = 1.
    repeats, n, s = 1000, 64, 0.5
    forth = np.random.default_rng(0).normal(-0.5 * s * s, s, (repeats, n))
    found = [bracket(row, None) for row in forth]
    value, se = np.array([(e.value, e.se) for e in found]).T
    assert abs((value / se).std() - 1) < 0.15 and abs(value.mean()) < 4 * value.std() / repeats**0.5 + s * s / n
    # About the direction's own mean, each end holds 97.5 times in a hundred.
    held = np.mean([row.mean() - z_of(n) * row.std(ddof=1) / n**0.5 < -0.5 * s * s for row in forth])
    assert abs(held - 0.975) < 4 * (0.975 * 0.025 / repeats) ** 0.5
    assert [e.lower for e in found[:5]] == pytest.approx(
        [row.mean() - z_of(n) * row.std(ddof=1) / n**0.5 for row in forth[:5]]
    )


def test_ends_that_cross_beyond_chance_are_refused_and_by_chance_are_doubted() -> None:
    mixed = Backward(weights(-1.0, 0.1, 64), OK)
    found = bracket(weights(0.0, 0.1, 64), mixed)
    assert found.value is None and "cross" in found.reason
    # 0.06 are 3.4 joint standard errors, and more than both ends' 2 each.
    forth = weights(0.0, 0.1, 64)
    by_chance = bracket(forth, Backward(forth - 0.06, OK))
    assert by_chance.value is not None and by_chance.lower < by_chance.upper and "by chance" in by_chance.reason


def test_doubts_about_the_chains_are_taken_over() -> None:
    doubted = OK.doubted(["can't tell: too short"])
    found = bracket(weights(0.0, 0.2, 64), Backward(weights(0.1, 0.2, 64, seed=1), doubted))
    assert found.upper is not None and found.verdict == "caution" and "can't tell" in found.reason


def test_a_bracket_wider_than_a_nat_is_doubted() -> None:
    found = bracket(weights(-0.5, 0.5, 64), Backward(weights(1.0, 0.5, 64, seed=1), OK))
    assert found.upper - found.lower > 1 and found.verdict == "caution" and "nats apart" in found.reason


def test_paths_that_end_nowhere_leave_no_optimistic_end() -> None:
    forth = weights(0.0, 0.1, 64)
    forth[3] = -np.inf
    found = bracket(forth, None)
    assert found.value == pytest.approx(math.log(63 / 64), abs=0.1) and found.lower is None
    assert "no optimistic end" in found.reason and bracket(np.full(8, -np.inf), None).verdict == "refused"
