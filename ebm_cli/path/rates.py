"""A path to a model of discrete states from independent sites, whose rates are fitted to rows."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import DISCRETE
from ebm_cli.path._annealing_path import AnnealingPath
from ebm_cli.path._drawn_path import DrawnPath, check_betas
from ebm_cli.path._site_coordinates import rates_path


@dataclass(frozen=True)
class RatesPath(DrawnPath):
    """U_β = U₀ + β(E/T − U₀), U₀ = −Σᵢ log rᵢ(xᵢ), with exact draws at β = 0.

    Salakhutdinov and Murray, 2008, start at such base rates. One row of every value is added to the rows, so that no
    rate is 0. Without rows, all states are equally probable at β = 0.

    renew_every: training steps after which automatic places are found again (≥ 1).
    betas, data: see `DrawnPath`.
    """

    spaces: ClassVar[frozenset[str]] = DISCRETE

    base: str = field(default="auto", init=False, repr=False)
    box: None = field(default=None, init=False, repr=False)
    renew_every: int

    def __post_init__(self) -> None:
        check.every(lambda: check_betas(self.betas), lambda: check.count("renew_every", self.renew_every))

    def fitted_path(self, energy: nn.Module, temperature: float) -> AnnealingPath:
        """Return the densities from the rates of the rows to this model. Raises InputError for other rows."""
        rows, _ = self.rows()
        event = getattr(energy, "event", None) if rows is None else rows.x.shape[1:]
        if event is None:
            raise InputError("path=rates needs the shape of a state. Type event=[…], or data=NAME")
        return rates_path(energy, temperature, tuple(event), None if rows is None else rows.x)
