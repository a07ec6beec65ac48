"""Modes that no chain has been to: weighed by closed forms, found as often as their basins are large, and counted."""

import math
import re

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import ncx2
from torch import Tensor, nn

from ebm_cli.partition import unseen as module
from ebm_cli.partition.path import Way
from ebm_cli.partition.unseen import LOOKS, NEGLIGIBLE, WIDTHS, Looked, log_masses, looks_within, suspects, unseen
from ebm_cli.rng import generator
from tests.contract import build
from tests.partition.ways import Counted, unbounded, way_to

pytestmark = pytest.mark.usefixtures("float64")


class Apart(nn.Module):
    """The lower of ½‖z‖² and ½‖z − m‖²/s² − d·log s + log(1/share − 1): two normal laws, a share of the second."""

    def __init__(self, d: int, away: float, s: float, share: float) -> None:
        super().__init__()
        self.event, self.s = (d,), s
        self.middle = torch.full((d,), away / d**0.5)
        self.level = d * math.log(s) + math.log((1 - share) / share)

    def wells(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return 0.5 * z.square().sum(1), 0.5 * (z - self.middle).square().sum(1) / self.s**2 + self.level

    def forward(self, z: Tensor) -> Tensor:
        return torch.minimum(*self.wells(z))


def chains(d: int, scale: float = 1.0) -> Tensor:
    """Independent draws about the origin."""
    return scale * torch.randn(16, 50, d, generator=torch.Generator().manual_seed(0))


def searched(energy: nn.Module, d: int, looks: int = 0, seed: int = 0) -> Looked:
    return unseen(energy, chains(d), looks, generator(seed, "unseen", "cpu"), lambda n: None)


def test_a_minimum_weighs_as_a_gaussian_integral_does() -> None:
    a = torch.tensor([0.25, 1.0, 9.0])
    energy = build("energy", "quadratic", {"a": a.tolist()}, event=(3,))
    mass = log_masses(energy, torch.zeros(1, 3), torch.tensor([2.0]), lambda n: None)
    assert float(mass) == pytest.approx(-2.0 - 0.5 * float(a.log().sum()))


def test_a_flat_direction_weighs_no_more_than_is_searched() -> None:
    energy = build("energy", "quadratic", {"a": [1e-9, 1.0]}, event=(2,))
    mass = log_masses(energy, torch.zeros(1, 2), torch.zeros(1), lambda n: None)
    assert float(mass) == pytest.approx(math.log(WIDTHS[-1]))


@pytest.mark.parametrize("d", [2, 8])
def test_a_mode_elsewhere_is_told_with_its_mass(d: int) -> None:
    """Two of three parts are in a mode of half the width: twice the mass, and d·log 2 + log 2 lower."""
    found = searched(Apart(d, 10.0, 0.5, 2 / 3), d, looks=20_000)
    gap, below, share = re.findall(r"E/T ([\d.]+) (\w+) .* e\^([-\d.]+) times", found.elsewhere)[0]
    assert float(gap) == pytest.approx((d + 1) * math.log(2), rel=1e-2) and below == "below"
    # As rounded to a tenth.
    assert abs(float(share) - math.log(2)) <= 0.05


def test_a_mode_that_holds_less_than_counts_is_let_pass() -> None:
    counts = math.exp(-NEGLIGIBLE) / (1 + math.exp(-NEGLIGIBLE))
    assert searched(Apart(3, 10.0, 1.0, 1.1 * counts), 3).elsewhere
    assert not searched(Apart(3, 10.0, 1.0, 0.9 * counts), 3).elsewhere


def test_where_there_is_one_mode_none_is_found_and_the_search_is_told() -> None:
    found = searched(build("energy", "quadratic", event=(4,)), 4, looks=6000)
    assert not found.elsewhere and "6,000 looks" in found.region and "1 in 2,000 of them" in found.region
    assert "96 descents" in searched(build("energy", "quadratic", event=(4,)), 4).region


def test_looks_find_a_basin_as_often_as_it_is_large() -> None:
    """‖sn − c‖²/s² of normal n is noncentral χ² and log s uniform, so that the chance of a ball is one integral.

    Where half of the mass is s₂ wide and m away, the second law is the larger in a ball about m/(1 − s₂²).
    """
    d, away, s, looks, repeats = 6, 12.0, 0.3, 5000, 60
    energy = Apart(d, away, s, 0.5)
    centre = away / (1 - s**2)
    radius = math.sqrt(centre**2 - (away**2 + 2 * s**2 * energy.level) / (1 - s**2))
    low, high = (math.log(w) for w in (WIDTHS[0], WIDTHS[-1]))
    chance, _ = quad(lambda t: float(ncx2.cdf((radius / math.exp(t)) ** 2, d, (centre / math.exp(t)) ** 2)), low, high)
    chance /= high - low
    hits = []
    for seed in range(repeats):
        z = suspects(energy, torch.zeros(1, d), looks, generator(seed, "looks", "cpu"))
        first, second = energy.wells(z)
        hits.append(int((second < first).sum()))
    expected = looks * chance
    assert abs(np.mean(hits) - expected) < 4 * math.sqrt(expected / repeats)


def test_a_needle_that_descents_miss_is_found_by_looks() -> None:
    energy = Apart(6, 12.0, 0.3, 0.5)
    assert not searched(energy, 6).elsewhere
    assert "times their mass" in searched(energy, 6, looks=LOOKS).elsewhere


def test_what_hessians_cost_is_told_and_gradients_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hessian of m states takes d + 1 calls of autograd, each of m gradients' work."""
    d, looks, made, told = 4, 500, [], []
    counted = Counted(Apart(d, 10.0, 1.0, 0.5))
    way = way_to(counted, rows=torch.randn(400, d, generator=torch.Generator().manual_seed(0)))
    way = Way(way.space, way.base, unbounded())
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
    x = way.space.coordinates(chains(d).flatten(0, 1)).view(16, 50, d)
    unseen(way.at(1.0), x, looks, generator(0, "unseen", "cpu"), told.append)
    assert told and sum(told) == sum(made)
    assert way.spending.spent == counted.states


def test_looks_are_a_tenth_of_the_budget_and_no_more_than_most() -> None:
    assert [looks_within(budget) for budget in (5000, 10**9, None)] == [500, LOOKS, LOOKS]
