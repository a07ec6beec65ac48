"""Spurious valleys: planted valleys are found at any place, and clean models have none."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm_cli.chain.chains import Chains
from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.data._finite import FiniteData
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Result, apply_mixing_verdict, refused
from ebm_cli.wells.region_mass import log_mass
from tests.contract import build

PLACES = 20
FEW = 2


class Known(FiniteData):
    """FiniteData that are what they look like."""

    def decode(self, x: Tensor) -> np.ndarray:
        return x.numpy()


class Planted(nn.Module):
    """E = −log((1 − w)·exp(−clean) + w·N(m, s²I)), clean normalised: a dent of mass w at m."""

    def __init__(self, clean: nn.Module, m: Tensor, s: float, w: float) -> None:
        super().__init__()
        self.clean = clean
        self.register_buffer("m", m)
        self.s, self.w = s, w

    def forward(self, x: Tensor) -> Tensor:
        d = x.shape[1]
        dent = -0.5 * ((x - self.m) / self.s).square().sum(1) - d * (np.log(self.s) + 0.5 * np.log(2 * np.pi))
        return -torch.logaddexp(np.log(1 - self.w) - self.clean(x), np.log(self.w) + dent)


CENTRES = np.linspace(-4, 4, 41)


class Bumps(nn.Module):
    """E(x) = x²/4 + Σᵢ θᵢ exp(−(x − cᵢ)²/(2·0.3²)) on the line."""

    def __init__(self, theta: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("theta", torch.as_tensor(theta))

    def forward(self, x: Tensor) -> Tensor:
        return x.squeeze(1) ** 2 / 4 + (-((x - torch.tensor(CENTRES)) / 0.3).square() / 2).exp() @ self.theta


def everywhere(x: Tensor) -> np.ndarray:
    return np.ones(len(x), dtype=bool)


def gaussian(d: int, random: np.random.Generator) -> nn.Module:
    return build("energy", "gaussian_mixture", {"means": [[0.0] * d], "stds": [1.0], "weights": [1.0]})


def mixture(d: int, random: np.random.Generator) -> nn.Module:
    """Two to five modes, with a joint standard deviation near 1."""
    count = int(random.integers(2, 6))
    means = random.standard_normal((count, d)).tolist()
    stds, weights = random.uniform(0.3, 0.6, count).tolist(), random.uniform(0.5, 1.0, count).tolist()
    return build("energy", "gaussian_mixture", {"means": means, "stds": stds, "weights": weights})


def known(clean: nn.Module, d: int, random: np.random.Generator) -> Known:
    rng = torch.Generator().manual_seed(int(random.integers(2**31)))
    return Known(*(Batch(clean.draw(n, 1.0, rng)) for n in (2000, 100)), noise=0.0)


def rippled(d: int, random: np.random.Generator) -> tuple[nn.Module, Known]:
    """An untrained network on a mixture fitted to the rows of one: rough as trained energies are, without a valley."""
    data = known(mixture(d, random), d, random)
    with torch.random.fork_rng():
        torch.manual_seed(int(random.integers(2**31)))
        energy = build("energy", "mlp", {"base_components": 5, "confinement": 0.0, "width": 64}, event=(d,), data=data)
        for parameter in energy.parameters():
            parameter.data *= 2
    return energy, data


def found(energy: nn.Module, data: Known | None, d: int, random: np.random.Generator, **changes: object) -> Result:
    x = random.standard_normal((8, 20, d)) if data is None else data.split("train").x[:160].numpy().reshape(8, 20, d)
    return build("diagnostic", "spurious_valleys", changes)(ChainContext(Chains(x=x), energy, 1.0, data=data))


def counted(energy: nn.Module, data: Known, d: int, random: np.random.Generator) -> float:
    return found(energy, data, d, random).estimates["spurious_valleys"].value


def planted(d: int, seed: int, shape: Callable[[int, np.random.Generator], nn.Module]) -> tuple[float, float]:
    """Return how many valleys are found if a valley is planted 6 to 10 standard deviations away, and its width."""
    random = np.random.default_rng(seed)
    clean = shape(d, random)
    data = known(clean, d, random)
    rows = data.split("train").x
    direction = random.standard_normal(d)
    sd = float(rows.std(0).mean())
    m = rows.mean(0) + sd * random.uniform(6, 10) * torch.as_tensor(direction / np.linalg.norm(direction)).to(rows)
    s = sd * random.uniform(0.5, 1.0)
    return counted(Planted(clean, m, s, w=0.05), data, d, random), s / sd


@pytest.mark.parametrize("d", [2, 16])
@pytest.mark.parametrize("seed", range(FEW))
def test_a_planted_valley_is_found(d: int, seed: int) -> None:
    assert planted(d, seed, (gaussian, mixture)[seed % 2])[0] == 1


@pytest.mark.parametrize(("d", "seed"), [(2, 0), (2, 2), (16, 1), (16, 2)])
def test_a_clean_model_has_none(d: int, seed: int) -> None:
    assert clean(d, seed) == 0


def clean(d: int, seed: int) -> float:
    random = np.random.default_rng(100 + seed)
    if seed % 3 == 2:
        return counted(*rippled(d, random), d, random)
    energy = (gaussian, mixture)[seed % 3](d, random)
    return counted(energy, known(energy, d, random), d, random)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [gaussian, mixture])
@pytest.mark.parametrize("d", [2, 16])
def test_nineteen_of_twenty_planted_valleys_are_found(
    d: int, shape: Callable[[int, np.random.Generator], nn.Module]
) -> None:
    each = [planted(d, seed, shape) for seed in range(PLACES)]
    assert sum(count == 1 for count, _ in each) >= PLACES - 1, each


@pytest.mark.slow
def test_valleys_of_six_tenths_of_the_datas_width_are_found_in_sixteen_dimensions() -> None:
    each = []
    for seed in range(PLACES):
        random = np.random.default_rng(500 + seed)
        energy = gaussian(16, random)
        direction = torch.nn.functional.normalize(torch.as_tensor(random.standard_normal(16)), dim=0).float()
        dented = Planted(energy, direction * random.uniform(6, 10), 0.6, 0.05)
        each.append(counted(dented, known(energy, 16, random), 16, random))
    assert each.count(1.0) >= PLACES - 1


@pytest.mark.slow
@pytest.mark.parametrize("d", [2, 16])
def test_none_of_twenty_clean_models_has_one(d: int) -> None:
    assert [clean(d, seed) for seed in range(PLACES)] == [0.0] * PLACES


def two(weight: float, s: float = 0.5, at: float = 7.0) -> tuple[nn.Module, Known, np.random.Generator]:
    """A standard Gaussian in the plane with a dent at (at, 0), and rows of only the Gaussian."""
    random = np.random.default_rng(0)
    energy = gaussian(2, random)
    return Planted(energy, torch.tensor([at, 0.0]), s, weight), known(energy, 2, random), random


def test_a_valley_is_told_by_place_energy_and_mass() -> None:
    energy, data, random = two(0.2)
    result = found(energy, data, 2, random)
    estimate = result.estimates["spurious_valleys"]
    assert estimate.value == 1 and estimate.verdict == "caution"
    assert "a valley near (7.0, 0.0)" in estimate.reason
    with torch.no_grad():
        assert f"E = {float(energy(torch.tensor([[7.0, 0.0]]))):.3g}" in estimate.reason
    mass = float(estimate.reason.split("holds ")[1].split("%")[0])
    assert abs(mass - 20) < 3
    assert "0.0% of the chains' first draws and 0.0% of their last" in estimate.reason
    drawn, caption = result.draw()
    assert "Look for" in caption
    drawn.canvas.draw()


def test_chains_that_fall_into_a_valley_are_counted_short_and_long() -> None:
    energy, data, random = two(0.2)
    x = random.standard_normal((8, 20, 2))
    x[:4, 10:] = [7.0, 0.0] + 0.5 * random.standard_normal((4, 10, 2))
    patient = ChainContext(Chains(x=x), energy, 1.0, data=data)
    reason = build("diagnostic", "spurious_valleys")(patient).estimates["spurious_valleys"].reason
    assert "0.0% of the chains' first draws and 50.0% of their last" in reason


def test_a_valley_of_little_mass_does_not_count() -> None:
    energy, data, random = two(0.002)
    assert found(energy, data, 2, random).estimates["spurious_valleys"].value == 0
    assert found(energy, data, 2, random, min_mass=0.001).estimates["spurious_valleys"].value == 1


def test_a_valley_where_data_are_does_not_count() -> None:
    energy, data, random = two(0.2)
    rows = data.split("train").x.clone()
    rows[:200] = torch.tensor([7.0, 0.0]) + 0.5 * torch.as_tensor(random.standard_normal((200, 2))).to(rows)
    assert counted(energy, Known(Batch(rows), Batch(rows), noise=0.0), 2, random) == 0


def test_a_model_whose_mass_is_not_where_data_are_is_under_caution() -> None:
    # One well, which all rows run down: none is beside the data, and yet the model is nowhere near them.
    energy = build("energy", "quadratic", {"a": 0.01}, event=(2,))
    data = known(gaussian(2, np.random.default_rng(0)), 2, np.random.default_rng(0))
    estimate = found(energy, data, 2, np.random.default_rng(0)).estimates["spurious_valleys"]
    assert estimate.value == 0 and estimate.verdict == "caution" and "leave them" in estimate.reason


@pytest.mark.parametrize("d", [2, 16])
def test_a_mass_by_bridge_is_the_closed_form(d: int, float64: None) -> None:
    curvatures = np.linspace(0.5, 4.0, d).tolist()
    energy = build("energy", "quadratic", {"a": curvatures}, event=None)
    errors = []
    for seed in range(20):
        x = energy.draw(400, 0.7, torch.Generator().manual_seed(seed))
        errors.append(log_mass(energy, x, 0.7, everywhere) - energy.log_z(0.7))
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(20) + 0.01
    assert np.std(errors) < 0.15


def test_the_mass_of_half_of_the_space_is_half_of_it_wherever_draws_are(float64: None) -> None:
    energy = build("energy", "quadratic", {"a": [0.5, 4.0]}, event=None)
    errors = []
    for seed in range(20):
        x = energy.draw(400, 1.0, torch.Generator().manual_seed(seed))
        errors.append(log_mass(energy, x, 1.0, lambda x: (x[:, 0] > 0).numpy()) - energy.log_z(1.0) + np.log(2))
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(20) + 0.01
    assert log_mass(energy, x, 1.0, lambda x: ~everywhere(x)) == -np.inf


@pytest.mark.parametrize("seed", [19, 30])
def test_masses_are_those_of_quadrature_where_states_leave_a_valley_for_a_heavier_one(seed: int) -> None:
    """41 bumps on a line, a well where data are: at seed 19 half of what starts at 3.2 ends in the mode beside it."""
    random = np.random.default_rng(seed)
    theta = random.normal(0, 2.0, 41) * random.uniform(0.3, 1.5)
    theta[np.abs(CENTRES + 1.5) < 0.5] -= 3 + random.uniform(0, 3)
    energy = Bumps(theta)
    data = build("data", "gaussian", {"dim": 1, "mean": -1.5, "std": 0.4})
    line = np.linspace(-9, 9, 18001)
    e = energy(torch.tensor(line)[:, None]).numpy()
    mass = np.exp(e.min() - e) / np.exp(e.min() - e).sum()
    x = random.choice(line, (32, 20, 1), p=mass)
    estimate = build("diagnostic", "spurious_valleys")(ChainContext(Chains(x=x), energy, 1.0, data=data)).estimates[
        "spurious_valleys"
    ]
    said = re.findall(r"near \(([-\d.]+)\) .*? holds ([\d.]+)%", estimate.reason)
    assert len(said) == estimate.value == 1
    place, share = (float(number) for number in said[0])
    # Its basin ends where E is highest on either side, as E is no higher inside.
    falls = np.flatnonzero((e[1:-1] >= e[:-2]) & (e[1:-1] > e[2:])) + 1
    left, right = (line[falls][line[falls] < place].max(), line[falls][line[falls] > place].min())
    assert share / 100 == pytest.approx(mass[(line > left) & (line < right)].sum(), rel=0.25)


def test_an_image_that_chains_fall_into_is_found_and_shown() -> None:
    data = build("data", "digits")
    rows = data.split("train").x
    base = build("energy", "mlp", {"base_components": 1, "width": 8}, event=(1, 8, 8), data=data)

    class Grey(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            dent = 0.5 * (x.flatten(1) - 0.6).square().sum(1) / 0.3**2 + 64 * np.log(0.3 * np.sqrt(2 * np.pi))
            return -torch.logaddexp(-base(x), -dent)

    x = rows[:160].numpy().reshape(8, 20, 1, 8, 8).copy()
    x[:2, 10:] = 0.6 + 0.3 * np.random.default_rng(0).standard_normal((2, 10, 1, 8, 8))
    patient = ChainContext(Chains(x=x), Grey(), 1.0, data=data)
    result = build("diagnostic", "spurious_valleys", {"starts": 20000})(patient)
    assert result.estimates["spurious_valleys"].value == 1
    assert "25.0% of their last" in result.estimates["spurious_valleys"].reason
    drawn, caption = result.draw()
    assert "Shown: the lowest state" in caption
    drawn.canvas.draw()


def test_without_data_nothing_is_called_spurious() -> None:
    energy, data, random = two(0.2)
    estimate = found(energy, None, 2, random).estimates["spurious_valleys"]
    assert estimate.verdict == "refused" and "data=NAME" in estimate.reason
    for known_energy, temperature, word in ((None, 1.0, "run=RUN"), (energy, 0.0, "temperature must be > 0")):
        patient = ChainContext(Chains(x=random.standard_normal((8, 20, 2))), known_energy, temperature, data=data)
        estimate = build("diagnostic", "spurious_valleys")(patient).estimates["spurious_valleys"]
        assert estimate.verdict == "refused" and word in estimate.reason


@pytest.mark.parametrize(
    "changes", [{"starts": 10}, {"reach": 0.0}, {"initial_temperature_ratio": 0.5}, {"min_mass": 2.0}]
)
def test_arguments_out_of_bounds_are_an_input_error(changes: dict[str, float]) -> None:
    with pytest.raises(InputError, match="must be"):
        build("diagnostic", "spurious_valleys", changes)


@pytest.mark.parametrize("valleys", [0, 1])
def test_no_valley_is_no_result_of_chains_that_are_not_mixed(valleys: int) -> None:
    data = build("data", "gaussian", {"dim": 2})
    energy = build("energy", "quadratic", {"a": 1.0}, event=(2,))
    if valleys:
        changes = {"means": [[0.0, 0.0], [9.0, 0.0]], "stds": [1.0, 1.0], "weights": [0.5, 0.5]}
        energy = build("energy", "gaussian_mixture", changes)
    x = np.random.default_rng(0).standard_normal((8, 50, 2))
    found = build("diagnostic", "spurious_valleys")(ChainContext(Chains(x=x), energy, 1.0, data=data)).estimates
    assert found["spurious_valleys"].value == valleys
    under = apply_mixing_verdict(found | {"mixing": refused("R̂ = 2")})["spurious_valleys"]
    assert under.verdict == ("caution" if valleys else "refused") and "R̂ = 2" in under.reason
