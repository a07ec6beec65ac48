"""The cells of a table that are not empty are known."""

from typing import Any

import torch

from ebm_cli.condition.rows import Rows


def example() -> dict[str, Any]:
    return {"path": "rows.csv"}


def test_cells_with_a_value_are_known() -> None:
    seen = Rows("").given("row 3", torch.tensor([1.0, torch.nan, 2.0]), (3,))
    assert seen.known is not None and seen.known.tolist() == [True, False, True]
