"""Test the picture of a run in the plane: its caption, and a table's own column names."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.figure.landscape import landscape
from tests.data.test_table import table


@pytest.mark.parametrize("count", [0, 3])
def test_the_caption_mentions_states_only_if_they_are_drawn(count: int) -> None:
    drawn, caption = landscape(Quadratic([1.0, 1.0], None), 1.0, None, np.zeros((count, 2)))
    assert ("states of chains" in caption) == ("points that fill" in caption) == (count > 0)
    assert drawn.axes[1].get_title() == ("chains over the energy" if count else "energy")


def test_the_axes_have_the_names_of_a_tables_columns(tmp_path: Path) -> None:
    pd.DataFrame(np.random.default_rng(0).standard_normal((50, 2)), columns=["height", "mass"]).to_csv(
        tmp_path / "mine.csv", index=False
    )
    drawn, _ = landscape(Quadratic([1.0, 1.0], None), 1.0, table(tmp_path / "mine.csv"), np.zeros((3, 2)))
    assert drawn.axes[0].get_xlabel() == "height, scaled" and drawn.axes[0].get_ylabel() == "mass, scaled"
