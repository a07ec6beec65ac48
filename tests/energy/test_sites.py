"""The sites of discrete states: their values, their numbers, and the enumeration of all states."""

import pytest
import torch

from ebm_cli.check import InputError
from ebm_cli.data._sites import Sites

CASES = [Sites("binary", (2, 3)), Sites("spin", (5,)), Sites("categorical", (2, 2, 3))]
EACH = pytest.mark.parametrize("sites", CASES, ids=lambda sites: sites.space)


@EACH
def test_all_states_are_enumerated_once_and_are_states(sites: Sites) -> None:
    count = sites.values**sites.count
    cpu = torch.device("cpu")
    parts = [sites.enumerated(first, min(first + 7, count), cpu, torch.float64) for first in range(0, count, 7)]
    x = torch.cat(parts)
    assert x.shape == (count, *sites.event) and len(torch.unique(x, dim=0)) == count
    assert sites.contain(x) and not sites.contain(x + 0.5)
    assert torch.equal(sites.states(sites.numbers(x), x.dtype), x)


@EACH
def test_uniform_states_have_every_value_equally_often(sites: Sites, rng: torch.Generator) -> None:
    numbers = sites.numbers(sites.uniform(20_000, rng, torch.float64))
    p = 1 / sites.values
    shares = torch.stack([(numbers == value).double().mean(0) for value in range(sites.values)])
    assert ((shares - p).abs() < 4 * (p * (1 - p) / 20_000) ** 0.5).all()


def test_states_that_are_not_discrete_are_refused() -> None:
    with pytest.raises(InputError, match=r"^event must end with the number of categories \(≥ 2\)"):
        Sites("categorical", (4,))
    with pytest.raises(InputError, match="got continuous states"):
        Sites("continuous", (4,))
