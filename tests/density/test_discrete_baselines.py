"""Baselines of discrete rows: probabilities sum to one, exact likelihoods of known laws, draws, and names that fit."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data._finite import FiniteData
from ebm_cli.data._sites import Sites
from ebm_cli.density import DISCRETE_FITS, Baseline, StateDensity, fit_baselines, names_that_fit
from ebm_cli.density.discrete_rows import COPIES, make_discrete_fit_data
from ebm_cli.density.early_stop import Plan
from tests.contract import build

SPACES = {"binary": (4,), "spin": (2, 2), "categorical": (3, 3)}
NAMES = list(DISCRETE_FITS)


class Rows(FiniteData):
    """Rows of the test's choice."""

    def __init__(self, space: str, x: Tensor) -> None:
        self.space = space
        super().__init__(Batch(x, clean=x), Batch(x, clean=x), 0.0)

    def decode(self, x: Tensor) -> np.ndarray:
        return x.numpy()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train networks for a second at most."""
    monkeypatch.setattr("ebm_cli.density.autoregressive.PLAN", Plan((3e-3,), 0.0, 50, 4, 600))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fit(data: object, name: str, seed: int = 0) -> Baseline:
    (found,) = fit_baselines(data, [name], seed, print)
    return found


def all_states(space: str) -> Tensor:
    sites = Sites(space, SPACES[space])
    return sites.enumerated(0, sites.values**sites.count, torch.device("cpu"), torch.float32)


def rows_of(space: str, n: int) -> Rows:
    """Rows with all states, some of them more frequent."""
    states = all_states(space)
    p = torch.rand(len(states), generator=seeded(0)) ** 3
    return Rows(space, states[torch.multinomial(p, n, replacement=True, generator=seeded(1))])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", SPACES)
def test_probabilities_of_all_states_sum_to_one_and_are_those_of_the_draws(name: str, space: str) -> None:
    found, states = fit(rows_of(space, 200), name), all_states(space)
    p = found.log_prob(states).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-9) and bool((p > 0).all())
    assert isinstance(found.density, StateDensity)
    n = 20_000
    drawn = found.density.draw(n, seeded(0))
    counts = (drawn[:, None] == states.flatten(1).double()).all(2).sum(0)
    assert counts.sum() == n
    assert bool(((counts - n * p).abs() < 4 * (n * p * (1 - p)).sqrt() + 1).all())


def test_independent_sites_score_their_frequencies() -> None:
    x = torch.tensor([[1.0, 0.0, 1.0]] * 30 + [[0.0, 0.0, 1.0]] * 10)
    found = fit(Rows("binary", x), "bernoulli").log_prob(x[:1])
    # The smallest of the pseudo-counts that are tried: 0.03, half of it for each value.
    expected = math.log(30.015 / 40.03) + 2 * math.log(40.015 / 40.03)
    assert float(found) == pytest.approx(expected, abs=1e-9)


def test_tree_finds_the_edges_of_a_tree_and_reaches_its_likelihood() -> None:
    # Site 3 follows 0, 1 follows 3, 2 follows 0, 4 follows 1: each equals its parent with probability 0.85.
    edges, n = [(0, 3), (3, 1), (0, 2), (1, 4)], 8000
    rng = seeded(0)
    numbers = torch.zeros(n, 5, dtype=torch.long)
    numbers[:, 0] = torch.randint(3, (n,), generator=rng)
    for parent, child in edges:
        other = (numbers[:, parent] + torch.randint(1, 3, (n,), generator=rng)) % 3
        numbers[:, child] = torch.where(torch.rand(n, generator=rng) < 0.85, numbers[:, parent], other)
    equal = torch.stack([numbers[:, parent] == numbers[:, child] for parent, child in edges], 1)
    exact = -math.log(3) + torch.where(equal, math.log(0.85), math.log(0.075)).sum(1).double()
    x = Sites("categorical", (5, 3)).states(numbers, torch.float32)
    found = fit(Rows("categorical", x[:4000]), "tree")
    tree = found.density.over_numbers
    found_edges = {frozenset((i, int(parent))) for i, parent in enumerate(tree.parents) if i != parent}
    assert found_edges == {frozenset(edge) for edge in edges}
    # Each of 2 + 4 · 6 parameters costs half a nat over the 4,000 rows.
    worse = exact[4000:] - found.log_prob(x[4000:])
    assert abs(float(worse.mean()) - 26 / 8000) < 4 * float(worse.std()) / 4000**0.5
    assert worse.std() < 0.1


def test_mixture_reaches_the_cross_entropy_of_a_mixture_with_its_number_of_components() -> None:
    n, d = 6000, 12
    p = torch.tensor([[0.9, 0.1], [0.1, 0.9], [0.1, 0.1]]).repeat_interleave(d // 2, 1)
    which = torch.randint(3, (n,), generator=seeded(0))
    x = torch.bernoulli(p[which], generator=seeded(1))
    terms = [torch.distributions.Bernoulli(each).log_prob(x).sum(1) for each in p]
    exact = torch.stack(terms).double().logsumexp(0) - math.log(3)
    found = fit(Rows("binary", x[:3000]), "bernoulli_mixture")
    assert found.words == "mixture of 3 × independent Bernoulli variables"
    worse = exact[3000:] - found.log_prob(x[3000:])
    # 38 parameters cost half a nat each over these.
    assert abs(float(worse.mean()) - 38 / 6000) < 4 * float(worse.std()) / 3000**0.5


def test_network_learns_what_no_tree_can() -> None:
    # The last bit is the parity of the first two: no pair of sites has information.
    bits = torch.randint(2, (600, 2), generator=seeded(0)).float()
    x = torch.cat([bits, bits.sum(1, keepdim=True) % 2], 1)
    scores = {name: float(fit(Rows("binary", x), name).log_prob(x).mean()) for name in ("tree", "autoregressive")}
    assert scores["tree"] < -2.9 * math.log(2) and scores["autoregressive"] > -2.1 * math.log(2)


def test_fits_are_functions_of_the_seed_and_leave_the_global_generator_alone() -> None:
    data, states = rows_of("categorical", 60), all_states("categorical")
    for name in NAMES:
        before = torch.get_rng_state()
        scores = [fit(data, name, seed).log_prob(states) for seed in (0, 0, 1)]
        assert torch.equal(torch.get_rng_state(), before), name
        assert torch.equal(scores[0], scores[1]), name
    assert not torch.equal(scores[0], scores[2])


def test_values_and_sites_without_variation_have_a_probability() -> None:
    x = torch.zeros(12, 30)
    x[:6, 3] = 1
    for name in NAMES:
        assert bool(fit(Rows("binary", x), name).log_prob(torch.eye(30)).isfinite().all()), name


def test_auto_and_refusals_name_the_baselines_that_fit() -> None:
    assert names_that_fit("auto", "spin") == NAMES and "flow" in names_that_fit("auto", "continuous")
    assert names_that_fit("tree", "binary") == ["tree"]
    with pytest.raises(InputError, match=r"bernoulli or .* or autoregressive for binary rows, got kernel, flow$"):
        fit_baselines(rows_of("binary", 50), ["tree", "kernel", "flow"], 0, print)
    with pytest.raises(InputError, match="must be gaussian or mixture or kernel or flow for continuous rows, got tree"):
        fit_baselines(build("data", "gaussians_8", {"n": 50}), ["tree"], 0, print)


def test_each_baseline_of_digits_is_better_than_simpler_ones() -> None:
    data = build("data", "digits_binary")
    found = fit_baselines(data, ["bernoulli", "tree", "bernoulli_mixture"], 0, print)
    bernoulli, tree, mixture = (float(each.log_prob(data.split("held_out").x).mean()) for each in found)
    assert bernoulli + 4 < tree and tree + 2.5 < mixture


def test_rows_that_are_drawn_again_for_each_batch_are_fitted_several_times_and_checked_on_others() -> None:
    data = build("data", "digits_binary", {"binarize": "resample"})
    found = make_discrete_fit_data(data, 0)
    n, m = len(found.fit) // COPIES, len(found.check)
    assert n + m == 1437 and len(found.fit) == COPIES * n
    # The copies are of the same pictures: pixels that are surely black or white agree, others differ.
    copies = found.fit.view(COPIES, n, -1)
    assert 0.05 < float((copies[0] != copies[1]).double().mean()) < 0.25
    assert float((copies[0] != copies[1].roll(1, 0)).double().mean()) > 0.25
    assert len(make_discrete_fit_data(build("data", "digits_binary"), 0).fit) == n
