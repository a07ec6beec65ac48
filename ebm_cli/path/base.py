"""A path to the model from a density with exact draws that is fitted to rows."""

from dataclasses import dataclass

from ebm_cli import check
from ebm_cli.path._drawn_path import DrawnPath


@dataclass(frozen=True)
class BasePath(DrawnPath):
    """U_β = U₀ + β(E/T − U₀), with exact draws of exp(−U₀) at β = 0.

    renew_every: training steps after which automatic places are found again (≥ 1).
    Other fields: see `DrawnPath`.
    """

    renew_every: int

    def __post_init__(self) -> None:
        check.every(super().__post_init__, lambda: check.count("renew_every", self.renew_every))
