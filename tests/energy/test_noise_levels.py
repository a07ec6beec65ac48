"""Noise levels: their conditional distributions, and invalid schedules."""

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.energy._noise_levels import NoiseSchedule, Recovery, check_rising
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")


class Levelled(nn.Module):
    """E(x, ν) = ½a‖x‖²/ν²."""

    noise_level = 0.2

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        ν = torch.full((len(x),), self.noise_level) if condition is None else condition
        return 0.5 * x.flatten(1).square().sum(1) / ν**2


def test_increments_of_variance_add_up_to_the_levels() -> None:
    σ, ν, δ, r = NoiseSchedule([0.5, 1.0, 3.0], 0.1).numbers
    assert σ.tolist() == [0, 0.5, 1.0] and ν.tolist() == [0.1, 0.5, 1.0]
    torch.testing.assert_close((δ**2).cumsum(0).sqrt(), torch.tensor([0.5, 1.0, 3.0]))
    assert (r[1:] > r[:-1]).all() and 0.9 < float(r[0]) < 1


def test_the_conditional_is_bayes_rule_in_its_own_units(rng: torch.Generator) -> None:
    ladder, T = NoiseSchedule([0.5, 1.0], 0.2), 2.0
    t, noised = torch.tensor([0, 1, 0]), torch.randn(3, 2, generator=rng)
    law = ladder.recovery(Levelled(), noised, t, T)
    _, ν, δ, r = ladder.per_row(t, noised)
    z = torch.randn(3, 2, generator=rng)
    x = noised + r[:, None] * z
    expected = 0.5 * (x / ν[:, None]).square().sum(1) + T * ((x - noised) / δ[:, None]).square().sum(1) / 2
    torch.testing.assert_close(law(z), expected)
    torch.testing.assert_close(law.coordinates(law.states(z)), z)
    # Tempering stacks its copies of all rows.
    torch.testing.assert_close(law(torch.cat([z, 2 * z])), torch.cat([law(z), law(2 * z)]))


@pytest.mark.parametrize("t", [0, 1])
def test_no_noised_law_is_stiffer_than_one_at_the_datas_own_level(t: int) -> None:
    """The stiffest distribution with noise ν bends by T/ν²: the units turn it and the Gaussian factor into T/own²."""
    ladder = NoiseSchedule([0.5, 1.0], 0.2)
    law = ladder.recovery(Levelled(), torch.zeros(1, 1), torch.tensor([t]), 1.0)
    assert isinstance(law, Recovery)
    assert float(law(torch.ones(1, 1)) - law(torch.zeros(1, 1))) == pytest.approx(0.5 / 0.2**2)


def test_what_is_no_ladder_is_refused_with_the_reason() -> None:
    for sigma, message in (
        (1.0, "sigma must be a list of rising levels"),
        ([], "sigma must be a number > 0, or a list"),
        ([1.0, 0.5], "sigma must rise from level to level"),
        ([0.5, 0.5], "sigma must rise from level to level"),
        ([-1.0, 0.5], "sigma must be > 0, got -1"),
    ):
        with pytest.raises(InputError, match=f"^{message}"):
            check_rising(sigma)
    with pytest.raises(InputError, match=r"^energy\.noise_level must be < the first level of sigma, 0\.5, got 0\.5"):
        NoiseSchedule([0.5, 1.0], 0.5)
    with pytest.raises(InputError, match=r"^sigma needs a noise-conditional energy, .* energy\.noise_level=0\.05"):
        NoiseSchedule.from_energy(build("energy", "mlp", event=(2,)), [0.5, 1.0], "sigma")
