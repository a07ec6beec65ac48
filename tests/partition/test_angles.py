"""log Z of angles: every method's bracket holds the closed form, and the grid converges or says that it does not."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.chain.budget import Budget
from ebm_cli.check import InputError
from ebm_cli.energy.xy import XY
from ebm_cli.partition import log_z
from ebm_cli.partition.angle_sums import angle_sum
from ebm_cli.partition.settings import DEFAULT_SETTINGS
from ebm_cli.path._coordinates import Integrand

RING = XY(1.0, 0.0, "lattice", False, (8,))
CHEAP = dataclasses.replace(DEFAULT_SETTINGS, chains=32, temperatures=60, steps=200)


class Narrow(nn.Module):
    """von Mises angles of concentration κ."""

    space = "periodic"

    def __init__(self, kappa: float) -> None:
        super().__init__()
        self.kappa = kappa

    def forward(self, x: Tensor) -> Tensor:
        return -self.kappa * (x - 0.1).cos().flatten(1).sum(1)


@pytest.mark.parametrize("method", ["auto", "bridge", "ais", "smc", "ti"])
@pytest.mark.parametrize("temperature", [0.4, 1.0])
def test_every_bracket_holds_the_closed_form(method: str, temperature: float) -> None:
    integrand = Integrand(RING, temperature, (8,), None, 0)
    found = log_z(integrand, dataclasses.replace(CHEAP, method=method), Budget(180_000)).estimate
    exact = RING.log_z(temperature)
    assert found.verdict != "refused" and found.lower is not None and found.upper is not None
    assert found.lower <= exact <= found.upper and found.upper - found.lower < 5.0
    assert (found.lower == exact) == (method == "auto")


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_grid_gives_log_z_between_its_bounds(d: int, float64: None) -> None:
    energy = XY(0.8, 0.5, "complete", False, (d,))
    found = angle_sum(Integrand(energy, 0.7, (d,), None, 0))
    axis = 2 * math.pi * (torch.arange(40) + 0.5) / 40
    x = torch.stack(torch.meshgrid(*[axis] * d, indexing="ij"), -1).view(-1, d)
    exact = float((-energy(x) / 0.7).logsumexp(0).detach()) + d * math.log(2 * math.pi / 40)
    assert found.verdict == "ok" and found.lower is not None and found.upper is not None
    assert found.lower <= exact <= found.upper and found.upper - found.lower < 1e-9


@pytest.mark.parametrize(("kappa", "verdict"), [(1e3, "ok"), (2e4, "refused")])
def test_a_grid_too_coarse_for_a_mode_gives_no_value(kappa: float, verdict: str, float64: None) -> None:
    energy = Narrow(kappa)
    found = angle_sum(Integrand(energy, 1.0, (3,) if kappa > 1e3 else (2,), torch.zeros(2, 2), 0))
    assert found.verdict == verdict
    if verdict == "ok":
        exact = 2 * XY(0.0, kappa, "lattice", False, (1,)).log_z(1.0)
        assert found.value == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize(
    ("changes", "problem"), [({"method": "quadrature"}, "3 dimensions"), ({"base": "gaussian"}, "path.base=auto")]
)
def test_what_does_not_fit_angles_is_refused(changes: dict, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        log_z(Integrand(RING, 1.0, (8,), None, 0), dataclasses.replace(CHEAP, **changes), Budget())
