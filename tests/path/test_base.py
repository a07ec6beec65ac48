"""The path from a fitted density: replica exchange along it crosses to modes that plain chains never reach."""

import pytest
import torch

from ebm_cli.chain.loop import run_chains
from ebm_cli.chain.path_kernels import path_hmc
from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.density import flow
from ebm_cli.energy import frozen
from ebm_cli.estimate import Estimate
from ebm_cli.sampling.summary import log_z_row
from tests.contract import build

WEIGHT = 0.25


def rows(n: int) -> tuple[torch.nn.Module, Batch]:
    """Return two Gaussians sixteen standard deviations apart, and draws of them."""
    energy = build("energy", "gaussian_mixture", {"means": [[-8.0, 0.0], [8.0, 0.0]], "weights": [WEIGHT, 1 - WEIGHT]})
    return energy, Batch(energy.draw(n, 1.0, torch.Generator().manual_seed(0)))


def test_chains_in_one_mode_find_the_weights_of_both() -> None:
    energy, batch = rows(500)
    path = build("path", "base", {"betas": [1.0, 0.5, 0.0]}, data=batch)
    sampler, n = build("sampler", "tempering", path=path), 200
    rng = torch.Generator().manual_seed(1)
    done = run_chains(sampler, energy, torch.tensor([[8.0, 0.0]]).expand(n, 2), 60, rng, burn_in=60, thin=3)
    each = (done.x[..., 0] < 0).double().mean(0)
    assert abs(float(each.mean()) - WEIGHT) < 4 * float(each.std()) / n**0.5
    assert done.replicas is not None and bool((done.replicas.round_trips > 0).all())


def test_replicas_from_a_flow_give_log_z_and_the_weights_of_both_modes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flow, "HIDDEN", (16, 16))
    monkeypatch.setattr(flow, "MAX_STEPS", 60)
    energy, batch = rows(500)
    path = build("path", "base", {"base": "flow", "betas": [1.0, 0.6, 0.3, 0.0]}, data=batch)
    sampler, n = build("sampler", "tempering", {"kernel": path_hmc(0.5, 3)}, path=path), 100
    done = run_chains(sampler, energy, batch.x[:n], 40, torch.Generator().manual_seed(1), burn_in=40, thin=4)
    each = (done.x[..., 0] < 0).double().mean(0)
    assert abs(float(each.mean()) - WEIGHT) < 4 * float(each.std()) / n**0.5
    estimate = log_z_row(done, energy, Estimate(1.0))["log_z"]
    assert estimate.lower < energy.log_z(1.0) < estimate.upper
    assert abs(estimate.value - energy.log_z(1.0)) < 4 * estimate.se


def test_the_base_is_fitted_once_for_all_places_of_replicas() -> None:
    energy, batch = rows(100)
    path = build("path", "base", {"base": "gaussian", "betas": [1.0, 0.5, 0.0]}, data=batch)
    fitted = path.annealing_path(energy, 1.0)
    assert path.with_equal_swap_rates([0.2, 0.9]).annealing_path(energy, 1.0) is fitted
    assert path.annealing_path(energy, 2.0) is not fitted


def test_model_states_come_back_from_the_coordinates_of_the_path() -> None:
    energy, batch = rows(100)
    path = build("path", "base", {"base": "gaussian", "betas": [1.0, 0.0]}, data=batch)
    sampler, x = build("sampler", "tempering", {"temperature": 2.0}, path=path), batch.x[:5]
    with frozen(energy):
        state = sampler.init(energy, x, torch.Generator())
        e, grad = energy(x), energy.energy_and_grad(x)[1]
    torch.testing.assert_close(state.x, x)
    torch.testing.assert_close(state.energy, e, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(state.grad, grad, rtol=1e-3, atol=1e-3)


def test_a_path_without_rows_names_what_to_type() -> None:
    energy, _ = rows(10)
    with pytest.raises(InputError, match="path=base needs rows"):
        build("path", "base", {"betas": [1.0, 0.0]}).annealing_path(energy, 1.0)


@pytest.mark.parametrize("betas", [[1.0, 0.5], [0.9, 0.0], [1.0, 0.2, 0.4, 0.0], [1.0]])
def test_places_that_do_not_fall_from_one_to_zero_are_named(betas: list[float]) -> None:
    with pytest.raises(InputError, match=r"^betas must be a list that falls from 1 to 0"):
        build("path", "base", {"betas": betas})
