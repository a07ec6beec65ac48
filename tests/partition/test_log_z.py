"""log Z as verbs ask for it: what one method finds is not lost when another takes over, and no Z is refused."""

import math

import pytest
import torch
from torch import Tensor, nn

from ebm_cli import partition
from ebm_cli.chain.budget import Budget
from ebm_cli.check import InputError
from ebm_cli.estimate import refused
from ebm_cli.partition import log_z
from ebm_cli.partition.bracket import ReversePaths, bracket
from ebm_cli.partition.quadrature import FinalRefusal
from ebm_cli.path._coordinates import Integrand
from tests.partition.integrand import normal_rows
from tests.partition.paths import settings

QUICK = settings(method="auto", chains=32, temperatures=12, leapfrog_steps=3, steps=100)


class HalfFlat(nn.Module):
    """Flat in all coordinates but the first."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * x[:, 0].square()


class Far(nn.Module):
    """Unit normals at 0 and `away` along the first of d coordinates, of these weights: log Z = d/2·log 2π."""

    def __init__(self, away: float, share: float) -> None:
        super().__init__()
        self.away, self.share = away, share

    def forward(self, x: Tensor) -> Tensor:
        first, others = x[:, 0], 0.5 * x[:, 1:].square().sum(1)
        near = math.log(1 - self.share) - 0.5 * first.square()
        return others - torch.logaddexp(near, math.log(self.share) - 0.5 * (first - self.away).square())


class Unbounded(nn.Module):
    """−∞ beyond an edge."""

    def __init__(self, edge: float) -> None:
        super().__init__()
        self.edge = edge

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x[:, 0] > self.edge, -math.inf, 0.5 * x.square().sum(1))


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("method", ["auto", "ais", "ti"])
def test_what_has_no_integral_is_refused_by_every_method(method: str, d: int) -> None:
    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 0 * x.sum(1) if d == 1 else HalfFlat()(x)

    found = log_z(Integrand(Flat(), 1.0, (d,), normal_rows(100, d), 0), settings(method=method), Budget()).estimate
    assert found.verdict == "refused" and "no finite integral" in found.reason


def test_paths_say_why_cubature_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition, "quadrature", lambda space: refused("cells too many"))
    found = log_z(Integrand(Far(0.0, 0.5), 1.0, (2,), normal_rows(300, 2), 0), QUICK, Budget()).estimate
    assert found.verdict == "caution" and "quadrature is refused: cells too many" in found.reason
    assert found.lower <= math.log(2 * math.pi) <= found.upper


def test_paths_do_not_overrule_that_there_is_no_integral(monkeypatch: pytest.MonkeyPatch) -> None:
    none = FinalRefusal(None, verdict="refused", reasons=("shells grow",))
    monkeypatch.setattr(partition, "quadrature", lambda space: none)
    found = log_z(Integrand(Far(0.0, 0.5), 1.0, (2,), normal_rows(300, 2), 0), QUICK, Budget()).estimate
    assert found is none


@pytest.mark.parametrize(("away", "share"), [(40.0, 0.99), (-15.0, 0.5), (25.0, 0.9)])
def test_a_value_that_a_search_contradicts_is_refused_and_its_lower_end_stays(away: float, share: float) -> None:
    rows = normal_rows(300, 5)
    found = log_z(Integrand(Far(away, share), 1.0, (5,), rows, 0), QUICK, Budget()).estimate
    assert found.verdict == "refused" and "only a lower bound" in found.reason
    assert found.lower is not None and found.lower < 2.5 * math.log(2 * math.pi) and found.upper is None


def test_a_bracket_keeps_only_its_lower_end_where_mass_is_elsewhere() -> None:
    forth = torch.randn(64, generator=torch.Generator().manual_seed(0)).double().numpy() * 0.1
    lacking = ReversePaths(None, refused("not mixed: mass elsewhere"), contradicted=True)
    elsewhere = bracket(forth, lacking, "bridge").estimate
    stuck = bracket(forth, ReversePaths(None, refused("not mixed: too short")), "bridge").estimate
    assert elsewhere.value is None and elsewhere.lower == stuck.lower and "mass elsewhere" in elsewhere.reason
    assert stuck.verdict == "caution" and stuck.value is not None


@pytest.mark.parametrize("d", [1, 2, 5])
def test_an_energy_that_is_unbounded_below_somewhere_is_an_input_error(d: int) -> None:
    with pytest.raises(InputError, match=r"energy is −∞ at x = \("):
        log_z(Integrand(Unbounded(4.0), 1.0, (d,), normal_rows(300, d), 0), QUICK, Budget())
