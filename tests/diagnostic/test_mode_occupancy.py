"""Mode occupancy: exact weights if they are known, errors over chains, and missing modes by name."""

import numpy as np
import pytest
import torch

from ebm_cli.chain.chains import Chains
from ebm_cli.data import Batch
from ebm_cli.data._finite import FiniteData
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate, Result, apply_mixing_verdict
from ebm_cli.mixing.verdict import assess_mixing
from tests.contract import build

MEANS, STDS, WEIGHTS = [[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]], [0.7, 0.5, 0.9], [0.5, 0.3, 0.2]
CHAINS, DRAWS = 32, 100


class Known(FiniteData):
    def decode(self, x: torch.Tensor) -> np.ndarray:
        return x.numpy()


def mixture(means: list[list[float]] = MEANS) -> torch.nn.Module:
    return build("energy", "gaussian_mixture", {"means": means, "stds": STDS, "weights": WEIGHTS})


def from_components(component: np.ndarray, seed: int = 0, dims: int = 2) -> np.ndarray:
    """Draws (chain, draw, 2) of the mixture, from its component."""
    means = np.pad(np.array(MEANS), ((0, 0), (0, dims - 2)))
    noise = np.random.default_rng(seed).standard_normal((*component.shape, dims))
    return means[component] + np.array(STDS)[component][..., None] * noise


def exact(chains: int = CHAINS, seed: int = 0) -> np.ndarray:
    component = np.random.default_rng(seed + 100).choice(3, (chains, DRAWS), p=WEIGHTS)
    return from_components(component, seed)


def found(x: np.ndarray, energy: torch.nn.Module | None, temperature: float = 1.0, **known: object) -> Result:
    return build("diagnostic", "mode_occupancy")(ChainContext(Chains(x=x), energy, temperature, **known))


def within(estimate: Estimate, weights: np.ndarray, bound: float = 4.0) -> bool:
    return bool((abs(np.array(estimate.value) - weights) < bound * np.array(estimate.se)).all())


def test_exact_draws_fill_a_mixtures_components_by_their_weights() -> None:
    estimates = found(exact(), mixture()).estimates
    assert (
        estimates["occupancy"].verdict == "ok"
        and estimates["modes_missing"].value == []
        and estimates["modes_missing"].verdict == "ok"
    )
    assert within(estimates["occupancy"], np.array(WEIGHTS))


def test_overlapping_components_are_not_biased() -> None:
    means = [[-0.5, 0.0], [0.5, 0.0], [0.0, 0.5]]
    energy = mixture(means)
    x = energy.draw(64 * 400, 1.0, torch.Generator().manual_seed(0)).numpy().reshape(64, 400, 2)
    assert within(found(x, energy).estimates["occupancy"], np.array(WEIGHTS))


def test_the_stated_error_is_the_spread_over_seeds_though_draws_of_a_chain_belong_together() -> None:
    values, errors = [], []
    for seed in range(60):
        # A chain stays in its mode for 25 draws: errors over draws would be five times too small.
        visits = np.random.default_rng(seed).choice(3, (16, 4), p=WEIGHTS)
        estimate = found(from_components(np.repeat(visits, 25, axis=1), seed), mixture()).estimates["occupancy"]
        values.append(estimate.value)
        errors.append(estimate.se)
    ratio = np.sqrt((np.array(errors) ** 2).mean(0)) / np.std(values, axis=0, ddof=1)
    assert (abs(ratio - 1) < 4 / np.sqrt(2 * 59)).all()


def test_a_mode_without_draws_is_named() -> None:
    component = np.random.default_rng(0).choice([0, 2], (CHAINS, DRAWS), p=[0.7, 0.3])
    estimates = found(from_components(component), mixture()).estimates
    assert estimates["modes_missing"].value == [2.0]
    for estimate in estimates.values():
        assert estimate.verdict == "caution"
        assert "mode 2 near (3.0, 0.0), weight 0.30, holds 0.000 ± 0.000: missing" in estimate.reason


def test_a_mode_of_which_a_few_draws_are_too_few_to_expect_any_is_not_called_missing() -> None:
    component = np.zeros((4, 5), dtype=np.int64)
    component[:, ::2] = 1
    estimates = found(from_components(component), mixture()).estimates
    assert estimates["modes_missing"].value == []


def test_a_mode_that_holds_half_as_much_again_is_said_but_not_missing() -> None:
    component = np.random.default_rng(0).choice(3, (CHAINS, DRAWS), p=[0.3, 0.5, 0.2])
    estimates = found(from_components(component), mixture()).estimates
    assert estimates["modes_missing"].value == []
    assert estimates["occupancy"].verdict == "caution" and "mode 2" in estimates["occupancy"].reason


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_other_energies_in_the_plane_are_judged_by_quadrature_over_basins(temperature: float) -> None:
    # A double well's basins at any T are the half planes, their weights those of one dimension.
    energy = build("energy", "double_well", {"tilt": 0.4}, event=(2,))
    grid = np.linspace(-3, 3, 6001)
    density = np.exp(-(3 * (grid**2 - 1) ** 2 + 0.4 * grid) / temperature)
    right = density[grid > 0.017].sum() / density.sum()
    random = np.random.default_rng(0)
    first = random.choice(grid, (CHAINS, DRAWS), p=density / density.sum())
    x = np.stack([first, np.sqrt(temperature) * random.standard_normal(first.shape)], 2)
    estimates = found(x, energy, temperature).estimates
    assert (
        estimates["modes_missing"].value == []
        and estimates["modes_missing"].verdict == "ok"
        and estimates["occupancy"].verdict == "ok"
    )
    assert within(estimates["occupancy"], np.array([1 - right, right]))
    x[:, :, 0] = -abs(x[:, :, 0])
    assert found(x, energy, temperature).estimates["modes_missing"].value == [2.0]


def test_minima_with_little_between_them_are_one_mode() -> None:
    # Müller and Brown's two lower right minima are 0.4 T apart at scale 0.05, the third 2 T.
    energy = build("energy", "muller_brown", {"scale": 0.05})
    x = np.random.default_rng(0).uniform(-1, 1, (8, 50, 2)) + np.array([-0.2, 0.7])
    assert len(found(x, energy, 1.0).estimates["occupancy"].value) == 2
    assert len(found(x, energy, 0.1).estimates["occupancy"].value) == 3


def test_above_two_dimensions_modes_come_from_draws_and_rows() -> None:
    component = np.random.default_rng(1).choice(3, (1, 1500), p=WEIGHTS)
    rows = torch.tensor(from_components(component, 1, dims=5)[0], dtype=torch.float32)
    means = np.pad(np.array(MEANS), ((0, 0), (0, 3))).tolist()
    energy = build("energy", "gaussian_mixture", {"means": means, "stds": STDS, "weights": WEIGHTS})

    # A class of its own, so that the mixture's closed form is not used.
    class Hidden(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return energy(x)

    component = np.random.default_rng(0).choice([0, 2], (CHAINS, DRAWS), p=[0.7, 0.3])
    estimates = found(
        from_components(component, dims=5), Hidden(), data=Known(Batch(rows), Batch(rows), noise=0.0)
    ).estimates
    assert len(estimates["occupancy"].value) == 3
    assert estimates["modes_missing"].value == [2.0]
    bare = found(from_components(component, dims=5), Hidden()).estimates
    assert len(bare["occupancy"].value) == 2 and bare["occupancy"].verdict == "ok"
    assert bare["modes_missing"].verdict == "refused" and "data=NAME" in bare["modes_missing"].reason


def test_labelled_images_are_judged_by_their_classes() -> None:
    data = build("data", "digits")
    held_out = data.split("held_out")
    noise = data.noise * np.random.default_rng(0).standard_normal((16, 20, 1, 8, 8))
    few = held_out.x[held_out.y != 7][:320].numpy().reshape(16, 20, 1, 8, 8) + noise
    energy = build("energy", "quadratic", {"a": 1.0}, event=(1, 8, 8))
    finding = found(few, energy, data=data)
    assert finding.estimates["modes_missing"].value == [7.0]
    assert "class 7, weight 0.10" in finding.estimates["occupancy"].reason
    truth = np.bincount(held_out.y[held_out.y != 7][:320].numpy(), minlength=10) / 320
    # In addition to the error over chains, there is the error of the classifier on 320 images.
    assert abs(np.array(finding.estimates["occupancy"].value) - truth).max() < 0.05


def test_occupancy_of_chains_that_are_not_mixed_is_refused_with_them() -> None:
    x = exact(8)
    x[:4] = from_components(np.zeros((4, DRAWS), dtype=np.int64))
    patient = ChainContext(Chains(x=x), mixture(), 1.0)
    rows = build("diagnostic", "mode_occupancy")(patient).estimates | {"mixing": assess_mixing(patient, 0).estimate}
    assert rows["mixing"].verdict == "refused"
    assert rows["modes_missing"].value == []
    assert (
        apply_mixing_verdict(rows)["occupancy"].verdict
        == apply_mixing_verdict(rows)["modes_missing"].verdict
        == "refused"
    )


def test_modes_that_unmixed_chains_miss_stay_named_under_caution() -> None:
    x = from_components(np.zeros((8, DRAWS), dtype=np.int64))
    x[:4] += 1.5
    patient = ChainContext(Chains(x=x), mixture(), 1.0)
    rows = build("diagnostic", "mode_occupancy")(patient).estimates | {"mixing": assess_mixing(patient, 0).estimate}
    assert rows["mixing"].verdict == "refused" and rows["modes_missing"].value
    kept = apply_mixing_verdict(rows)["modes_missing"]
    assert kept.value == rows["modes_missing"].value and kept.verdict == "caution" and "R̂" in kept.reason


def test_without_an_energy_or_a_temperature_there_are_no_modes() -> None:
    for x, energy, temperature, word in (
        (exact(), None, 1.0, "run=RUN"),
        (exact(), mixture(), 0.0, "temperature must be > 0"),
    ):
        for estimate in found(x, energy, temperature).estimates.values():
            assert estimate.verdict == "refused" and word in estimate.reason
