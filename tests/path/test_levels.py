"""The path through noise levels: each anchor is the energy at a level, and modes exchange at the largest one."""

import math

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.chain.loop import run_chains
from ebm_cli.chain.replica_search import find_replicas, with_ladder
from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.energy import frozen
from ebm_cli.estimate import Estimate
from ebm_cli.sampling.summary import log_z_row
from tests.contract import History, build

APART, STD, WEIGHT, LOG_Z = 4.0, 0.3, 0.25, 1.5


class NoisyModes(nn.Module):
    """−log of WEIGHT N(−APART, STD² + σ²) + (1 − WEIGHT) N(APART, STD² + σ²) in one dimension, minus LOG_Z + σ."""

    noise_level = 0.1

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        σ = torch.full_like(x[:, 0], self.noise_level) if condition is None else condition
        variance = STD**2 + σ**2
        squares = torch.stack([x[:, 0] + APART, x[:, 0] - APART]).square() / variance
        weights = torch.tensor([WEIGHT, 1 - WEIGHT]).to(x).log()[:, None]
        log_p = (weights - 0.5 * squares).logsumexp(0) - 0.5 * (2 * math.pi * variance).log()
        return -log_p - LOG_Z - (σ - self.noise_level)


def rows(n: int) -> Batch:
    """Return rows without noise, all in one mode, so that only the levels can find the weights."""
    rng = torch.Generator().manual_seed(0)
    left = torch.rand(n, 1, generator=rng) < WEIGHT
    return Batch(torch.where(left, -APART, APART) + STD * torch.randn(n, 1, generator=rng))


@pytest.mark.parametrize("levels", ["auto", [0.5, 2.0]])
def test_chains_in_one_mode_find_the_weights_of_both_and_log_z(levels: str | list[float]) -> None:
    energy, n = NoisyModes(), 48
    run = History({}, sigma=[0.1, 0.12, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0])
    path = build("path", "levels", {"levels": levels, "base": "gaussian"}, data=rows(400), run=run)
    sampler = build("sampler", "tempering", path=path)
    found = find_replicas(sampler, energy, n, torch.Generator().manual_seed(1))
    assert found is not None
    sampler = with_ladder(found.sampler, found.ladder)
    x = torch.full((n, 1), APART)
    done = run_chains(sampler, energy, x, 160, torch.Generator().manual_seed(2), burn_in=40, thin=4)
    each = (done.x[..., 0] < 0).double().mean(0)
    error = float(each.std()) / n**0.5
    assert abs(float(each.mean()) - WEIGHT) < 4 * error < 0.08
    log_z = log_z_row(done, energy, Estimate(1.0))["log_z"]
    assert abs(log_z.value - LOG_Z) < 4 * log_z.se and log_z.lower < LOG_Z < log_z.upper
    assert done.replicas is not None and done.replicas.min_swap_rate() > 0.25
    kept = sampler.path.levels
    assert kept[-1] == (4.0 if levels == "auto" else 2.0) and (levels == kept or len(kept) < 8)


def test_anchors_are_the_energy_at_each_level_and_the_model(rng: torch.Generator) -> None:
    energy, x = NoisyModes(), 3 * torch.randn(6, 1, generator=rng)
    path = build("path", "levels", {"levels": [0.5, 2.0]}, data=rows(400)).annealing_path(energy, 2.0)
    z = path.space.coordinates(x)
    with frozen(energy):
        for beta, level in ((1 / 3, 2.0), (2 / 3, 0.5), (1.0, 0.1)):
            exact = energy(x, condition=torch.full((6,), level)) / 2
            torch.testing.assert_close(path.energy_at(beta)(z), exact, rtol=1e-4, atol=1e-4)


def test_the_base_is_fitted_to_rows_with_noise_of_the_largest_level() -> None:
    path = build("path", "levels", {"levels": [0.5, 8.0], "base": "gaussian"}, data=rows(2000))
    drawn = path.annealing_path(NoisyModes(), 1.0)
    x = drawn.space.states(drawn.draw_base(4000, torch.Generator().manual_seed(0)).z)
    assert float(x.std()) == pytest.approx(1.1 * (8.0**2 + 4 * APART**2 * 0.1875 + STD**2) ** 0.5, rel=0.05)


@pytest.mark.parametrize(
    ("energy", "changes", "message"),
    [
        (
            nn.Linear(1, 1),
            {},
            "path=levels needs a noise-conditional energy, such as energy=mlp",
        ),
        (NoisyModes(), {"sigma": None}, "path=levels needs a run that was trained at noise levels above"),
        (NoisyModes(), {"levels": [0.05, 1.0]}, "path.levels must be > energy.noise_level=0.1"),
    ],
)
def test_an_energy_or_a_run_without_levels_is_refused(energy: nn.Module, changes: dict, message: str) -> None:
    run = History({}, sigma=changes.pop("sigma", [0.1, 1.0]))
    sampler = build("sampler", "tempering", path=build("path", "levels", changes, data=rows(50), run=run))
    with pytest.raises(InputError, match=message):
        find_replicas(sampler, energy, 4, torch.Generator())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": [1.0, 0.5]}, "levels must rise"),
        ({"betas": [1.0, 0.0]}, "betas=\\[…\\] needs the levels"),
        (
            {"levels": [0.5, 1.0], "betas": [1.0, 0.6667, 0.0]},
            "betas must have a replica at each anchor.*0.6667, 0.3333",
        ),
    ],
)
def test_wrong_levels_and_places_are_named(changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build("path", "levels", changes)


def test_without_a_run_automatic_levels_are_refused() -> None:
    with pytest.raises(InputError, match=r"^levels leads through noise levels of a trained run"):
        build("path", "levels", run=None)
