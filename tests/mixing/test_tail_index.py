"""Tails: the shape of a Pareto tail is found. Heavy tails cause a caution about missing moments; light tails do not."""

import numpy as np
import pytest

from ebm_cli.mixing.tail_index import heaviest_tail, tail_cautions

SHAPE = (8, 400, 1)


@pytest.mark.parametrize("degrees", [1, 2, 4])
def test_the_shape_of_students_t_is_one_over_its_degrees(degrees: int) -> None:
    shapes = np.array([heaviest_tail(np.random.default_rng(s).standard_t(degrees, SHAPE))[0] for s in range(20)])
    # The larger of two tails' estimates lies above each by about half an error.
    error = heaviest_tail(np.random.default_rng(0).standard_t(degrees, SHAPE))[1]
    assert abs(shapes.mean() - 1 / degrees) < error


@pytest.mark.parametrize("law", ["standard_normal", "random", "standard_exponential"])
def test_light_tails_raise_no_doubt(law: str) -> None:
    for seed in range(20):
        assert tail_cautions(getattr(np.random.default_rng(seed), law)(SHAPE)) == {"mean": [], "std": []}


def test_a_cauchy_law_has_neither_mean_nor_standard_deviation() -> None:
    found = tail_cautions(np.random.default_rng(0).standard_cauchy(SHAPE))
    assert found["mean"] and found["std"]


def test_two_values_and_few_draws_have_no_tail() -> None:
    for x in (np.random.default_rng(0).integers(0, 2, SHAPE) * 1.0, np.zeros(SHAPE), np.zeros((2, 10, 1))):
        assert tail_cautions(x) == {"mean": [], "std": []}
