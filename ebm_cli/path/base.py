"""A path to the model from a density with exact draws that is fitted to rows."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import _angles
from ebm_cli.energy import SMOOTH, space_of
from ebm_cli.path._angle_coordinates import angles_path
from ebm_cli.path._annealing_path import AnnealingPath
from ebm_cli.path._drawn_path import DrawnPath
from ebm_cli.path._piecewise_path import PiecewisePath


@dataclass(frozen=True)
class BasePath(DrawnPath):
    """U_β = U₀ + β(E/T − U₀), with exact draws of exp(−U₀) at β = 0.

    Paths to periodic states start at independent uniform angles, whatever the rows are.

    renew_every: training steps after which automatic places are found again (≥ 1).
    Other fields: see `DrawnPath`.
    """

    spaces: ClassVar[frozenset[str]] = SMOOTH

    renew_every: int

    def __post_init__(self) -> None:
        check.every(super().__post_init__, lambda: check.count("renew_every", self.renew_every))

    def fitted_path(self, energy: nn.Module, temperature: float) -> AnnealingPath | PiecewisePath:
        if space_of(energy) != _angles.SPACE:
            return super().fitted_path(energy, temperature)
        if self.base != "auto":
            raise InputError(f"path.base={self.base} needs continuous states, these are periodic. Type path.base=auto")
        rows, _ = self.rows()
        event = getattr(energy, "event", None) if rows is None else rows.x.shape[1:]
        if event is None:
            raise InputError("path=base needs the shape of a state. Type event=[…], or data=NAME")
        return angles_path(energy, temperature, tuple(event))
