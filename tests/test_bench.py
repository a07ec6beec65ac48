"""Benchmarks: their tables can be made without the tools that they compare with, and say what does not hold."""

import dataclasses

import numpy as np
import pytest
import torch

from scripts.bench import chains, ess, plane, table
from scripts.bench.table import Bar
from tests.contract import build


@pytest.fixture(autouse=True)
def no_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "has", lambda peer: False)


def test_a_langevin_row_has_every_ratio_that_was_run_and_none_of_those_that_were_not() -> None:
    target = dataclasses.replace(chains.targets()[3], chains=3, steps=2)
    variants = {n: run for n, run in chains.langevin_variants(target, "cpu").items() if "compiled" not in n}
    row = chains.langevin_row(target.name, chains.milliseconds(variants, 2, "cpu"))
    assert set(row["ms_a_gradient"]) == {"ours eager", "floor eager", "usual"} and row["best"] == "ours eager"
    assert row["over_floor"] > 0 and row["usual_over_ours"] > 0 and row["torchebm_over_ours"] is None
    assert [bar.held for bar in chains.bars([row], [])][2] == "not measured"
    assert any(chains.PATCHES in line for line in chains.text([row], [], "cpu", 2))


def test_ess_of_short_chains_is_marked_and_that_of_independent_draws_is_their_number() -> None:
    target = ess.targets()[0]
    rng = np.random.default_rng(0)
    scale = target.variances.sqrt().numpy()
    independent = [ess.Draws(scale * rng.standard_normal((100, ess.CHAINS, 20)), 6400.0, 1.0) for _ in ess.SEEDS]
    stuck = [ess.Draws(np.repeat(run.x[:1], 100, 0) + 1e-3 * run.x, 6400.0, 1.0) for run in independent]
    good, bad = (ess.row(target, "nuts", "", runs) for runs in (independent, stuck))
    assert good["notes"] == [] and 0.7 < min(good["ess_a_gradient"]) < 1.3 and abs(good["variance_error"]) < 0.05
    assert "too short" in bad["notes"][0]
    assert all(bar.held == "not measured" for bar in ess.bars([good, bad]))


def test_a_broken_chain_is_counted_and_no_figure_is_shown_for_it() -> None:
    target = ess.targets()[0]
    x = np.random.default_rng(0).standard_normal((10, ess.CHAINS, 20))
    x[5:, 3] = np.nan
    row = ess.row(target, "sgld", "", [ess.Draws(x, 640.0, 1.0)])
    assert row["notes"] == ["1 of 64 chains broke"] and "| – |" in "\n".join(ess.text([row]))


def test_a_bar_holds_on_its_own_side_alone() -> None:
    assert Bar("", 1.2, 1.0, least=True).held == "yes" and Bar("", 1.2, 1.0, least=False).held == "no"


def test_a_rotated_gaussian_has_the_gradient_and_the_variances_of_its_precision() -> None:
    energy = ess.targets()[1].energy
    x = torch.randn(3, 20, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (grad,) = torch.autograd.grad(energy(x).sum(), x)
    torch.testing.assert_close(grad, energy.energy_and_grad(x)[1])


def test_tv_is_zero_for_the_very_law_and_is_taken_over_the_datas_box_where_mass_runs_away() -> None:
    data = build("data", "gaussians_8")

    class Law(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return -data.log_prob(x)

    class Flat(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(x))

    tv, boxed = plane.total_variation(Law(), data)
    assert tv < 1e-4 and not boxed
    tv, boxed = plane.total_variation(Flat(), data)
    assert 0.5 < tv < 1 and boxed


def test_the_plane_s_table_has_a_cell_a_set_and_its_bars_take_our_worst_seed_against_their_best() -> None:
    rows = [
        dict(zip(plane.COLUMNS, ("rings", seed, what, tv, "", "50"), strict=True))
        for seed, what, tv in (
            ("0", "contrastive", "0.0500"),
            ("1", "contrastive", "0.0900"),
            ("0", "torchebm CD", "0.3600"),
            ("1", "torchebm CD", "0.1800"),
        )
    ]
    assert "| contrastive | – | – | – | 0.050 0.090 | 50 |" in plane.text(rows)
    bars = {bar.what: bar for bar in plane.bars(rows)}
    assert bars["best tv, rings"].value == pytest.approx(0.07) and bars["best tv, rings"].held == "yes"
    assert bars["tv of torchebm CD, its best seed / contrastive, its worst, rings"].value == pytest.approx(2.0)
    assert bars["best tv, two_moons"].held == "not measured"
