"""Laplace wells: formula, weighted draws and quadrature are equal at low T, and their breakdown is found."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ebm_cli.chain.chains import Chains
from ebm_cli.check import InputError
from ebm_cli.diagnostic import ChainContext
from ebm_cli.diagnostic._laplace_mass import importance_estimates
from ebm_cli.diagnostic._laplace_search import Wells
from ebm_cli.estimate import Result
from ebm_cli.wells.basins import find_basins
from ebm_cli.wells.descent import descend
from ebm_cli.wells.laplace import hessians
from ebm_cli.wells.modes import find_modes
from tests.contract import build

MULTIPLES = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]


class Unequal(nn.Module):
    """E = 8(x₁² − 1)² + ½·c(x₁)·x₂² + 0.1·x₁, c rising from 1 in the left well to 25 in the right one."""

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.unbind(1)
        stiff = 1 + 24 * torch.sigmoid(6 * first)
        return 8 * (first.square() - 1).square() + 0.5 * stiff * second.square() + 0.1 * first


CASES = {
    "unequal": (Unequal, {}),
    "muller_brown": ("muller_brown", {"scale": 0.05}),
    "double_well": ("double_well", {"tilt": 0.3}),
}


def energy_of(case: str) -> nn.Module:
    kind, changes = CASES[case]
    return build("energy", kind, changes, event=(2,)) if isinstance(kind, str) else kind()


def draws(chains: int = 8, length: int = 50, dims: int = 2, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(0).standard_normal((chains, length, dims))


def found(x: np.ndarray, energy: nn.Module | None, temperature: float = 1.0, **changes: object) -> Result:
    return build("diagnostic", "laplace_wells", changes)(ChainContext(Chains(x=x), energy, temperature))


def wells_of(energy: nn.Module, x: np.ndarray, hottest: float) -> Wells:
    basins = find_basins(energy, x.reshape(-1, 2), temperature=0.2, barrier=1.0, hottest=hottest)
    assert basins is not None
    return Wells(basins.modes, hessians(energy, basins.modes.minima), basins, reach=0.1)


@pytest.mark.parametrize("case", list(CASES))
def test_formula_draws_and_quadrature_agree_at_low_temperature(case: str, float64: None) -> None:
    energy = energy_of(case)
    wells = wells_of(energy, draws(), hottest=1.0)
    for temperature in (0.02, 0.05):
        exact, laplace = wells.basins.weights(temperature), wells.predicted(temperature)
        measured = importance_estimates(energy, wells, temperature, draws=4000)
        assert measured.effective > 800
        # Relative corrections of the formula are of order T.
        assert abs(laplace - exact).max() < 0.3 * temperature
        assert (abs(measured.fraction - exact) < 4 * measured.fraction_se + 1e-3).all()
        assert (abs(measured.width - 1) < 4 * measured.width_se + 3 * temperature)[exact > 1e-3].all()


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("temperature", [0.2, 0.5, 1.0])
def test_weighted_draws_agree_with_quadrature_where_the_formula_need_not(case: str, temperature: float) -> None:
    energy = energy_of(case)
    wells = wells_of(energy, draws(), hottest=1.0)
    measured = importance_estimates(energy, wells, temperature, draws=8000)
    exact = wells.basins.weights(temperature)
    assert (abs(measured.fraction - exact) < 4 * measured.fraction_se + 2e-3).all()


def test_the_stated_error_of_a_share_is_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    energy = energy_of("unequal")
    wells = wells_of(energy, draws(), hottest=1.0)
    exact, z = wells.basins.weights(0.5), []
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        monkeypatch.setattr("ebm_cli.diagnostic._laplace_mass.generator", lambda *_, g=generator: g)
        measured = importance_estimates(energy, wells, 0.5, draws=2000)
        z.append((measured.fraction[0] - exact[0]) / measured.fraction_se[0])
    assert abs(np.std(z, ddof=1) - 1) < 4 / np.sqrt(2 * 59)
    # The grid's own error adds a little to the mean.
    assert abs(np.mean(z)) < 4 / np.sqrt(60) + 0.2


def test_the_flat_well_wins_as_temperature_rises_and_the_deep_one_as_it_falls() -> None:
    # Curvature 25 against 1 costs the right well a factor of 5; a tilt of 0.2 lifts it by exp(0.2/T).
    class Tilted(Unequal):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) - 0.4 * x[:, 0]

    wells = wells_of(Tilted(), draws(), hottest=2.0)
    deep = int(np.argmax(wells.modes.lowest[:, 0].numpy()))
    assert wells.predicted(0.02)[deep] > 0.99 and wells.predicted(2.0)[deep] < 0.3
    assert wells.basins.weights(0.02)[deep] > 0.99 and wells.basins.weights(2.0)[deep] < 0.4


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_quadratic_is_exact_at_every_temperature(temperature: float) -> None:
    energy = build("energy", "quadratic", {"a": [1.0, 9.0]}, event=None)
    estimates = found(draws(), energy, temperature).estimates
    assert estimates["laplace_occupancy"].value == [1.0]
    assert estimates["laplace_departure"].value == [] and estimates["laplace_departure"].verdict == "ok"
    width = estimates["laplace_width"]
    assert abs(width.value[0] - 1) < 4 * width.se[0]


def test_the_temperature_at_which_the_formula_departs_is_found_and_drawn() -> None:
    energy = build("energy", "muller_brown", {"scale": 0.05})
    result = found(draws(), energy, 1.0, temperatures=MULTIPLES)
    departure = result.estimates["laplace_departure"]
    basins = find_basins(energy, draws().reshape(-1, 2), 1.0, 1.0, 2.0)
    assert basins is not None
    wells = Wells(basins.modes, hessians(energy, basins.modes.minima), basins, reach=0.1)
    errors = [abs(wells.predicted(T) - basins.weights(T)).max() for T in MULTIPLES]
    assert errors[0] < 0.01 < 0.05 < errors[-1]
    assert departure.value == [next(T for T, error in zip(MULTIPLES, errors, strict=True) if error > 0.05)]
    drawn, caption = result.draw()
    assert "(gray)" in caption and "Look for" in caption
    drawn.canvas.draw()


def test_a_departure_at_the_runs_own_temperature_is_a_caution() -> None:
    energy = build("energy", "muller_brown", {"scale": 0.02})
    estimates = found(draws(), energy, 1.0).estimates
    assert estimates["laplace_occupancy"].verdict == "caution"
    assert "T = 1" in estimates["laplace_occupancy"].reason


def test_above_three_dimensions_draws_stand_for_quadrature() -> None:
    tilt, dims = 0.3, 8
    energy = build("energy", "double_well", {"tilt": tilt}, event=(dims,))
    estimates = found(draws(dims=dims), energy, 0.5, draws=2000).estimates
    t = np.linspace(-3, 3, 20001)
    density = np.exp(-(3 * (t**2 - 1) ** 2 + tilt * t) / 0.5)
    left = density[t < 0.025].sum() / density.sum()
    assert abs(estimates["laplace_occupancy"].value[0] - left) < 0.02
    x = torch.as_tensor(draws(dims=dims).reshape(-1, dims), dtype=torch.get_default_dtype())
    modes, _ = find_modes(energy, x, 0.5, 1.0, reach=0.3)
    measured = importance_estimates(energy, Wells(modes, hessians(energy, modes.minima), None, 0.3), 0.5, draws=4000)
    assert abs(measured.fraction[0] - left) < 4 * measured.fraction_se[0]
    assert float(descend(energy, modes.minima, 0.5, 0.3)[1].min()) == pytest.approx(float(modes.energy.min()))


def test_a_bottom_without_curvature_is_refused() -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.abs().sum(1)

    for estimate in found(draws(), Flat()).estimates.values():
        assert estimate.verdict == "refused" and "positive definite" in estimate.reason


@pytest.mark.parametrize(
    "changes",
    [{"temperatures": []}, {"temperatures": [1.0, -1.0]}, {"temperatures": -2.0}, {"draws": 10}, {"tolerance": 2}],
)
def test_arguments_out_of_bounds_are_an_input_error(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match="must be"):
        build("diagnostic", "laplace_wells", changes)


def test_without_an_energy_there_are_no_wells() -> None:
    for energy, temperature, word in ((None, 1.0, "run=RUN"), (Unequal(), 0.0, "temperature must be > 0")):
        for estimate in found(draws(), energy, temperature).estimates.values():
            assert estimate.verdict == "refused" and word in estimate.reason
