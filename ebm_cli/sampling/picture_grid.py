"""How many pictures samples.png shows, and in which rows."""

import re
from dataclasses import dataclass

from ebm_cli import check


@dataclass(frozen=True)
class PictureGrid:
    """rows, columns: of pictures (≥ 1)."""

    rows: int = 6
    columns: int = 10

    def __post_init__(self) -> None:
        check.every(lambda: check.count("grid", self.rows), lambda: check.count("grid", self.columns))

    @property
    def cells(self) -> int:
        """Return the number of pictures."""
        return self.rows * self.columns

    @staticmethod
    def parse(value: object) -> "PictureGrid":
        """Return the grid that a line gives as ROWSxCOLUMNS; 6x10 for None. Raises InputError for anything else."""
        if value is None:
            return PictureGrid()
        sides = re.fullmatch(r"(\d{1,3})x(\d{1,3})", str(value))
        if sides is None:
            raise check.InputError(f"grid must be ROWSxCOLUMNS of pictures, as in grid=8x8, got {value}")
        return PictureGrid(int(sides[1]), int(sides[2]))
