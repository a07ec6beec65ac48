"""The search for missed modes: masses in closed form, hits in proportion to basins, and counted costs."""

import math
import re

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import ncx2
from torch import Tensor, nn

from ebm_cli.chain.budget import Budget
from ebm_cli.chain.counted_path import CountedPath
from ebm_cli.partition import mode_search as module
from ebm_cli.partition.mode_search import (
    MAX_LOG_MASS_DEFICIT,
    MAX_SEARCH_POINTS,
    WIDTHS,
    ModeSearchResult,
    candidate_starts,
    log_masses,
    search_missed_modes,
    search_points,
)
from ebm_cli.rng import generator
from tests.contract import build
from tests.partition.paths import Counted, path_to

pytestmark = pytest.mark.usefixtures("float64")


class Apart(nn.Module):
    """The lower of ½‖z‖² and ½‖z − m‖²/s² − d·log s + log(1/share − 1): two normal laws, a share of the second."""

    def __init__(self, d: int, away: float, s: float, share: float) -> None:
        super().__init__()
        self.event, self.s = (d,), s
        self.center = torch.full((d,), away / d**0.5)
        self.level = d * math.log(s) + math.log((1 - share) / share)

    def wells(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return 0.5 * z.square().sum(1), 0.5 * (z - self.center).square().sum(1) / self.s**2 + self.level

    def forward(self, z: Tensor) -> Tensor:
        return torch.minimum(*self.wells(z))


def chains(d: int, scale: float = 1.0) -> Tensor:
    """Independent draws about the origin."""
    return scale * torch.randn(16, 50, d, generator=torch.Generator().manual_seed(0))


def searched(energy: nn.Module, d: int, points: int = 0, seed: int = 0) -> ModeSearchResult:
    return search_missed_modes(energy, chains(d), points, generator(seed, "unseen", "cpu"), lambda n: None)


def test_log_masses_equal_gaussian_integrals() -> None:
    a = torch.tensor([0.25, 1.0, 9.0])
    energy = build("energy", "quadratic", {"a": a.tolist()}, event=(3,))
    mass = log_masses(energy, torch.zeros(1, 3), torch.tensor([2.0]), lambda n: None)
    assert float(mass) == pytest.approx(-2.0 - 0.5 * float(a.log().sum()))


def test_log_masses_limit_the_width_of_flat_directions() -> None:
    energy = build("energy", "quadratic", {"a": [1e-9, 1.0]}, event=(2,))
    mass = log_masses(energy, torch.zeros(1, 2), torch.zeros(1), lambda n: None)
    assert float(mass) == pytest.approx(math.log(WIDTHS[-1]))


@pytest.mark.parametrize("d", [2, 8])
def test_search_reports_a_missed_mode_with_its_mass(d: int) -> None:
    """Two of three parts are in a mode of half the width: twice the mass, and d·log 2 + log 2 lower."""
    found = searched(Apart(d, 10.0, 0.5, 2 / 3), d, points=20_000)
    gap, below, share = re.findall(r"E/T ([\d.]+) (\w+) .* e\^([-\d.]+) times", found.missed)[0]
    assert float(gap) == pytest.approx((d + 1) * math.log(2), rel=1e-2) and below == "below"
    # As rounded to a tenth.
    assert abs(float(share) - math.log(2)) <= 0.05


def test_search_ignores_a_mode_of_negligible_mass() -> None:
    counts = math.exp(-MAX_LOG_MASS_DEFICIT) / (1 + math.exp(-MAX_LOG_MASS_DEFICIT))
    assert searched(Apart(3, 10.0, 1.0, 1.1 * counts), 3).missed
    assert not searched(Apart(3, 10.0, 1.0, 0.9 * counts), 3).missed


def test_search_of_a_single_mode_describes_its_region() -> None:
    found = searched(build("energy", "quadratic", event=(4,)), 4, points=6000)
    assert not found.missed and "6,000 search points" in found.region and "1 in 2,000 of them" in found.region
    assert "96 descents" in searched(build("energy", "quadratic", event=(4,)), 4).region


def test_candidate_starts_hit_a_basin_in_proportion_to_its_size() -> None:
    """‖sn − c‖²/s² of normal n is noncentral χ² and log s uniform, so that the chance of a ball is one integral.

    Where half of the mass is s₂ wide and m away, the second law is the larger in a ball about m/(1 − s₂²).
    """
    d, away, s, points, repeats = 6, 12.0, 0.3, 5000, 60
    energy = Apart(d, away, s, 0.5)
    centre = away / (1 - s**2)
    radius = math.sqrt(centre**2 - (away**2 + 2 * s**2 * energy.level) / (1 - s**2))
    low, high = (math.log(w) for w in (WIDTHS[0], WIDTHS[-1]))
    chance, _ = quad(lambda t: float(ncx2.cdf((radius / math.exp(t)) ** 2, d, (centre / math.exp(t)) ** 2)), low, high)
    chance /= high - low
    hits = []
    for seed in range(repeats):
        z = candidate_starts(energy, torch.zeros(1, d), points, generator(seed, "points", "cpu"))
        first, second = energy.wells(z)
        hits.append(int((second < first).sum()))
    expected = points * chance
    assert abs(np.mean(hits) - expected) < 4 * math.sqrt(expected / repeats)


def test_search_points_find_a_narrow_mode_that_descents_miss() -> None:
    energy = Apart(6, 12.0, 0.3, 0.5)
    assert not searched(energy, 6).missed
    assert "times their mass" in searched(energy, 6, points=MAX_SEARCH_POINTS).missed


def test_search_charges_hessians_and_counts_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hessian of m states takes d + 1 calls of autograd, each of m gradients' work."""
    d, points, made, told = 4, 500, [], []
    counted = Counted(Apart(d, 10.0, 1.0, 0.5))
    path = path_to(counted, rows=torch.randn(400, d, generator=torch.Generator().manual_seed(0)))
    path = CountedPath(path.space, path.base, Budget())
    hessians = module.hessians

    def watched(model: nn.Module, x: Tensor) -> Tensor:
        before, grad = counted.states, torch.autograd.grad
        with monkeypatch.context() as patch:
            patch.setattr(torch.autograd, "grad", lambda *a, **k: (made.append(len(x)), grad(*a, **k))[1])
            found = hessians(model, x)
        # The states of the graph itself are told of with the Hessian.
        counted.states = before
        return found

    monkeypatch.setattr(module, "hessians", watched)
    x = path.space.coordinates(chains(d).flatten(0, 1)).view(16, 50, d)
    search_missed_modes(path.energy_at(1.0), x, points, generator(0, "unseen", "cpu"), told.append)
    assert told and sum(told) == sum(made)
    assert path.budget.used == counted.states


def test_search_points_are_a_tenth_of_the_budget_up_to_a_maximum() -> None:
    assert [search_points(budget) for budget in (5000, 10**9, None)] == [500, MAX_SEARCH_POINTS, MAX_SEARCH_POINTS]
