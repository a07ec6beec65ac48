"""Annotated shapes and types of ebm_cli are enforced while tests run."""

from typing import Any

import jaxtyping
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.check import count
from ebm_cli.figure import as_pictures, window
from ebm_cli.sampler.mala import MALA
from tests import FIRST_CALLS, ONE_IN, Calls, checked, enforced

VIOLATION = jaxtyping.TypeCheckError


def test_wrong_argument_of_the_package_is_refused() -> None:
    with pytest.raises(VIOLATION, match="window"):
        window(torch.zeros(3, 2).numpy(), torch.zeros(3, 2, 1).numpy())
    with pytest.raises(VIOLATION, match="as_pictures"):
        as_pictures(torch.zeros(3, 2).numpy())
    with pytest.raises(VIOLATION, match="count"):
        count(3, 3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(VIOLATION, match="MALA"):
        MALA("0.1", 1.0, None)  # pyright: ignore[reportArgumentType]


def test_axes_of_one_name_have_one_length_in_arguments_and_result() -> None:
    def gram(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> Float[Tensor, "n m"]:
        return x @ x.T

    held = enforced(gram, typechecker=checked)
    assert held(torch.zeros(3, 2), torch.zeros(3, 2)).shape == (3, 3)
    with pytest.raises(VIOLATION):
        held(torch.zeros(3, 2), torch.zeros(3, 4))
    with pytest.raises(VIOLATION):
        held(torch.zeros(3, 2), torch.zeros(4, 2))


def test_scopes_of_nested_calls_are_their_own() -> None:
    def inner(x: Float[Tensor, " n"]) -> int:
        return len(x)

    held = enforced(inner, typechecker=checked)

    def outer(x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        held(x[0])
        return x[:, 0]

    assert len(enforced(outer, typechecker=checked)(torch.zeros(5, 2))) == 5


def test_a_call_of_a_form_that_was_right_is_still_checked_for_what_it_returns() -> None:
    found = [torch.zeros(3), torch.zeros(3), torch.zeros(4), torch.zeros(4), [torch.zeros(3)], torch.zeros(3)]

    def take(x: Float[Tensor, "n d"], y: list[Float[Tensor, " n"]] | None = None) -> Float[Tensor, " n"]:
        return found.pop(0)

    held, x, longer = enforced(take, typechecker=checked), torch.zeros(3, 2), torch.zeros(4, 2)
    assert held(x) is not held(x)
    with pytest.raises(VIOLATION):
        held(x)
    assert len(held(longer)) == 4
    for given in ((x,), (longer,), (x, [torch.zeros(4)])):
        with pytest.raises(VIOLATION):
            held(*given)


def test_a_wrong_call_among_many_is_found_among_the_first_of_a_test_and_later_at_one_in_so_many() -> None:
    def same(n: int) -> int:
        return n

    held: Any = enforced(same, typechecker=checked)
    for _ in range(FIRST_CALLS):
        with pytest.raises(VIOLATION):
            held("1")
    assert [held("1") for _ in range(ONE_IN - 1)] == ["1"] * (ONE_IN - 1)
    with pytest.raises(VIOLATION):
        held("1")
    held("1")
    Calls.test += 1
    with pytest.raises(VIOLATION):
        held("1")
