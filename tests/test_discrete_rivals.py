"""The comparison with thrml, dwave-samplers and rbms: the models that they get, and the sentences of the page."""

import itertools

import numpy as np
import pytest
import torch

from ebm_cli.energy.ising import Ising
from ebm_cli.energy.rbm import RBM
from scripts.bench import _discrete_page as page
from scripts.bench import _machine_rivals as machine
from scripts.bench import table
from scripts.bench._discrete_tools import Ours
from scripts.bench._spin_graph import SpinGraph, of_lattice, of_machine


def log_weights(graph: SpinGraph, spins: np.ndarray) -> np.ndarray:
    """Return the logarithm of p(s) up to a constant."""
    first, second = graph.pairs.T
    return graph.beta * (spins @ graph.fields + (spins[:, first] * spins[:, second]) @ graph.couplings)


def a_machine() -> RBM:
    """Return a centered machine of 3 visible and 2 hidden units with random parameters."""
    energy = RBM(2, True, False, (3,), None).requires_grad_(False)
    for parameter in energy.parameters():
        parameter.normal_()
    energy.mu.uniform_()
    return energy


def test_the_spins_of_a_machine_have_its_distribution_of_visible_units() -> None:
    energy = a_machine()
    graph, units = of_machine(energy), torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))
    spins = np.array(list(itertools.product((-1, 1), repeat=5)), np.int8)
    weights = np.exp(log_weights(graph, spins))
    visible = graph.from_spins(spins)
    marginal = torch.tensor([weights[(visible == v).all(1).numpy()].sum() for v in units])
    torch.testing.assert_close(marginal / marginal.sum(), energy(units).neg().softmax(0).double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(graph.from_spins(graph.to_spins(units)), units)


def test_the_spins_of_a_lattice_have_its_energy_and_blocks_without_couplings() -> None:
    energy = Ising(0.7, 0.0, "lattice", "spin", False, (4, 6)).requires_grad_(False)
    x = energy.sites.uniform(9, torch.Generator().manual_seed(0), torch.float32)
    graph = of_lattice(energy, 1.7)
    torch.testing.assert_close(
        torch.tensor(log_weights(graph, graph.to_spins(x))), -energy(x).double() / 1.7, rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(graph.from_spins(graph.to_spins(x)), x)
    assert sorted(np.concatenate(graph.blocks)) == list(range(24))
    assert all(not np.isin(graph.pairs, block).all(1).any() for block in graph.blocks)


def test_our_chains_make_as_many_sweeps_as_asked() -> None:
    energy = Ising(1.0, 0.0, "lattice", "spin", False, (4, 4)).requires_grad_(False)
    x = energy.sites.uniform(3, torch.Generator().manual_seed(0), torch.float32)
    chains = Ours(energy, 2.0, "eager", x, 0)
    chains.advance(7)
    chains.advance(4)
    assert int(chains.tally.step) == 11 and chains.states().shape == x.shape


def test_without_other_tools_the_machine_s_table_has_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "has", lambda peer: False)
    (row,) = machine.rows(a_machine(), torch.zeros(4, 3), 2)
    assert row["tool"] == "ours" and row["distance"] is None and row["sweeps_per_second"] > 0
    assert page.summary([], [row]) == [""] and page.bars([], [row])[1].held == "not measured"


@pytest.mark.parametrize(("least", "ours"), [(False, "is ahead by a factor of 2."), (True, "falls behind by a factor")])
def test_a_comparison_takes_the_best_of_ours_and_of_the_others(least: bool, ours: str) -> None:
    rows = [{"tool": tool, "n": n} for tool, n in (("ours, eager", 4), ("ours", 8), ("thrml", 4), ("rbms", 2))]
    (sentence,) = page.comparisons(rows, lambda row: "L = 4", "n", "n", least)
    assert ours in sentence and ("thrml" in sentence) is not least


def test_comparisons_in_which_ours_falls_behind_come_first() -> None:
    keys = ("millions", "ess_per_second", "set_up")
    spins = [
        {"size": 4, "tool": tool} | dict.fromkeys(keys, n) for tool, n in (("ours, compiled", 2.0), ("thrml", 1.0))
    ]
    found = page.summary(spins, [])
    assert "set-up" in found[0] and "falls behind" in found[0] and all("is ahead" in told for told in found[1:3])


def test_an_ess_of_too_few_draws_is_marked() -> None:
    row = dict.fromkeys(("millions", "ess_per_second", "set_up", "energy", "se", "exact", "distance"), 1.0)
    cells = [page.lattice_cells(row | {"size": 4, "tool": "ours", "ess": ess}) for ess in (1e2, 1e4)]
    assert [each[3] for each in cells] == ["1†", "1"]
