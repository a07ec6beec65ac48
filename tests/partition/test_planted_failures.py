"""Fifty ways to a wrong log Z that are planted: none ends in a bracket that is given without a doubt and is wrong."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ebm_cli.chain.budget import Budget
from ebm_cli.check import InputError
from ebm_cli.partition import log_z
from tests.contract import build
from tests.partition.integrand import integrand, normal_rows
from tests.partition.paths import settings

QUICK = {"chains": 32, "temperatures": 12, "leapfrog_steps": 3, "steps": 100}


@dataclass(frozen=True)
class Planted:
    """A model, rows that mislead about it, what is asked of it, and its log Z; ∞ where there is none."""

    energy: nn.Module
    rows: Tensor | None
    truth: float
    asked: dict[str, Any]
    temperature: float = 1.0


def at(d: int, along: float) -> list[float]:
    """A point on the diagonal, so far from the origin."""
    return [along / d**0.5] * d


def modes(means: list[list[float]], stds: list[float], weights: list[float], near: int | None, **asked: Any) -> Planted:
    """A mixture with rows from one of its modes alone; near None for no rows at all."""
    energy = build("energy", "gaussian_mixture", {"means": means, "stds": stds, "weights": weights})
    if near is None:
        return Planted(energy, None, 0.0, asked)
    rows = torch.tensor(means[near]) + normal_rows(300, len(means[0]), scale=stds[near])
    return Planted(energy, rows, 0.0, asked)


def two(d: int, apart: float, near: int | None = 0, **asked: Any) -> Planted:
    """Two modes of width 1, a third of the mass where the rows are."""
    return modes([at(d, -apart / 2), at(d, apart / 2)], [1.0, 1.0], [1.0, 2.0], near, **asked)


def several(count: int, d: int, apart: float, near: int | None = 0) -> Planted:
    """Modes on axes of their own."""
    means = [[apart * (i == axis) for i in range(d)] for axis in range(count)]
    return modes(means, [1.0] * count, [1.0] * count, near)


def far(d: int, away: float, width: float, method: str) -> Planted:
    """A base far from the model, and three temperatures."""
    energy = build("energy", "quadratic", event=(d,))
    return Planted(energy, normal_rows(200, d, center=away, scale=width), energy.log_z(1.0), {
        "method": method, "temperatures": 3, "leapfrog_steps": 1,
    })  # fmt: skip


def funnel(spread: float, d: int, width: float, method: str) -> Planted:
    """A funnel whose rows say nothing of its neck and mouth."""
    energy = build("energy", "funnel", {"spread": spread}, event=(d,))
    return Planted(energy, normal_rows(300, d, scale=width), energy.log_z(1.0), {"method": method})


def boxed(d: int, half: float, curvature: float, **asked: Any) -> Planted:
    """A box too small for the model."""
    energy = build("energy", "quadratic", {"a": curvature}, event=(d,))
    return Planted(energy, normal_rows(100, d), energy.log_z(1.0), {"base": "box", "box": [-half, half]} | asked)


class Holed(nn.Module):
    """½‖x‖², not a number where x₁ > edge; Z counts it as 0 there."""

    def __init__(self, d: int, edge: float) -> None:
        super().__init__()
        self.event, self.edge = (d,), edge

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x[:, 0] > self.edge, math.nan, 0.5 * x.square().sum(1))


class Unconfined(nn.Module):
    """√(1 + x₁²)/2 less x₂ squared or nothing of it: no finite Z."""

    def __init__(self, d: int, kind: str) -> None:
        super().__init__()
        self.event, self.kind = (d,), kind

    def forward(self, x: Tensor) -> Tensor:
        first = x[:, 0]
        others = 0.5 * x[:, 1:].square().sum(1)
        return others + {"flat": 0 * first, "falling": -0.3 * first, "walled": 4 / (1 + first.square()),
                         "log": 0.4 * torch.log1p(first.square())}[self.kind]  # fmt: skip


def holed(d: int, edge: float, method: str) -> Planted:
    truth = 0.5 * d * math.log(2 * math.pi) + math.log(0.5 * math.erfc(-edge / 2**0.5))
    return Planted(Holed(d, edge), normal_rows(300, d), truth, {"method": method})


def unconfined(d: int, kind: str, method: str) -> Planted:
    return Planted(Unconfined(d, kind), normal_rows(300, d), math.inf, {"method": method})


def elsewhere(d: int, away: float, T: float, method: str) -> Planted:
    """Rows so many spreads from all that the model has."""
    energy = build("energy", "shifted_quadratic", {"mean": 2.0}, event=(d,))
    return Planted(energy, normal_rows(100, d, center=away, scale=0.2), energy.log_z(T), {"method": method}, T)


PLANTED: dict[str, Callable[[], Planted]] = {
    **{f"far base {d}-D {w} {m}": lambda d=d, w=w, m=m: far(d, 12.0, w, m)
       for d, w, m in [(16, 0.5, "ais"), (16, 0.5, "bridge"), (8, 1.0, "smc"), (16, 0.2, "ti"), (64, 1.0, "bridge")]},
    **{f"two modes {d}-D {a} apart, {m}": lambda d=d, a=a, m=m: two(d, a, 0, method=m)
       for d, a, m in [(4, 6.0, "bridge"), (4, 10.0, "bridge"), (4, 20.0, "ais"), (4, 30.0, "bridge"),
                       (8, 8.0, "smc"), (8, 12.0, "ti"), (8, 20.0, "bridge"), (16, 6.0, "bridge"), (16, 8.0, "ti"),
                       (16, 12.0, "bridge"), (16, 20.0, "ais"), (16, 30.0, "bridge"), (2, 10.0, "bridge"),
                       (2, 30.0, "ti")]},
    **{f"two modes {d}-D {a} apart, no rows": lambda d=d, a=a: two(d, a, None)
       for d, a in [(4, 10.0), (8, 20.0), (16, 30.0)]},
    **{f"{c} modes {d}-D {a} apart": lambda c=c, d=d, a=a: several(c, d, a)
       for c, d, a in [(3, 4, 8.0), (4, 8, 10.0), (5, 8, 15.0), (5, 16, 12.0), (3, 16, 25.0)]},
    "a narrow mode elsewhere": lambda: modes([at(6, 0.0), at(6, 12.0)], [1.0, 0.3], [0.5, 0.5], 0),
    "a wide mode elsewhere": lambda: modes([at(6, 0.0), at(6, 15.0)], [1.0, 2.5], [0.3, 0.7], 0),
    "rows of the narrow mode": lambda: modes([at(6, 0.0), at(6, 12.0)], [0.3, 1.5], [0.5, 0.5], 0),
    "stuck in one of two, few steps": lambda: two(4, 14.0, 0, kernel="mala", leapfrog_steps=1),
    "stuck in one of two, a box": lambda: two(4, 14.0, 0, base="box"),
    **{f"funnel {s} {d}-D {w} {m}": lambda s=s, d=d, w=w, m=m: funnel(s, d, w, m)
       for s, d, w, m in [(3.0, 10, 1.0, "bridge"), (3.0, 10, 5.0, "ais"), (3.0, 5, 0.5, "ti"), (2.0, 20, 1.0, "smc")]},
    **{f"box {d}-D {h} {a} {m}": lambda d=d, h=h, a=a, m=m: boxed(d, h, a, method=m)
       for d, h, a, m in [(4, 1.0, 1.0, "bridge"), (4, 2.0, 1.0, "ais"), (8, 0.5, 0.1, "smc"), (4, 2.5, 1.0, "ti")]},
    **{f"nan {d}-D {e} {m}": lambda d=d, e=e, m=m: holed(d, e, m)
       for d, e, m in [(4, 0.0, "bridge"), (4, 1.0, "ais"), (8, 0.5, "smc"), (4, 0.5, "ti")]},
    **{f"no Z {d}-D {k} {m}": lambda d=d, k=k, m=m: unconfined(d, k, m)
       for d, k, m in [(4, "flat", "bridge"), (4, "falling", "ais"), (4, "walled", "smc"), (6, "log", "ti"),
                       (4, "log", "bridge")]},
    **{f"rows elsewhere {d}-D {a} {T} {m}": lambda d=d, a=a, T=T, m=m: elsewhere(d, a, T, m)
       for d, a, T, m in [(6, 20.0, 1.0, "bridge"), (6, -30.0, 2.0, "ais"), (12, 10.0, 0.5, "smc")]},
}  # fmt: skip
EVERY = 6


def marked(i: int, name: str) -> Any:
    return name if i % EVERY == 0 else pytest.param(name, marks=pytest.mark.slow)


def test_there_are_fifty() -> None:
    assert len(PLANTED) >= 50


@pytest.mark.parametrize("name", [marked(i, name) for i, name in enumerate(PLANTED)])
def test_no_bracket_is_given_without_a_doubt_and_wrong(name: str) -> None:
    planted = PLANTED[name]()
    try:
        found = log_z(
            integrand_of(planted), settings(**QUICK | {"method": "bridge"} | planted.asked), Budget()
        ).estimate
    except InputError:
        return
    if found.lower is not None and found.upper is not None and found.verdict == "ok":
        assert found.lower <= planted.truth <= found.upper, found


@pytest.mark.parametrize("method", ["bridge", "ais", "smc", "ti"])
def test_a_model_with_rows_of_all_of_it_is_given_a_bracket_without_a_doubt(method: str) -> None:
    """With everything refused the test above would pass as well."""
    planted = modes([at(4, 0.0)], [1.0], [1.0], 0)
    found = log_z(integrand_of(planted), settings(**QUICK | {"method": method}), Budget()).estimate
    assert found.verdict == "ok", found
    assert found.lower <= planted.truth <= found.upper


def integrand_of(planted: Planted) -> Any:
    if planted.rows is not None:
        return integrand(planted.energy, planted.temperature, planted.rows)
    from ebm_cli.path._coordinates import Integrand

    return Integrand(planted.energy, planted.temperature, tuple(planted.energy.event), None, 0)
