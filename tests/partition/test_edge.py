"""log Z at the edge: no value is given as ok without the truth in its bracket, and most are answered."""

import math

import pytest

from scripts.edge import EDGES, SEEDS, wrong

SLOW = {name for name, edge in EDGES.items() if edge.d == 5} | {"a disc", "a banana", "a ring of width 0.02"}
# What has no integral, and what float32 does not resolve.
REFUSED = {name for name, edge in EDGES.items() if edge.exact == math.inf} | {"3·10⁸ + x²/2"}


def test_there_are_thirty_and_each_number_of_dimensions_has_some() -> None:
    assert len(EDGES) >= 30 and {edge.d for edge in EDGES.values()} == {1, 2, 5}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in EDGES]
)
def test_the_truth_is_in_the_bracket(name: str) -> None:
    edge = EDGES[name]
    for seed in SEEDS[:1] if name not in SLOW else SEEDS:
        found = edge.found(seed)
        assert not wrong(edge, found), found
        if name in REFUSED:
            assert found.verdict == "refused"
        elif edge.d < 5:
            assert found.lower <= edge.exact <= found.upper, found
            assert abs(found.value - edge.exact) < 0.01
