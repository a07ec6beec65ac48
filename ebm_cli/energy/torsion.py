"""Torsion energy: two dihedral angles in a Fourier series, like those of alanine dipeptide."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError


class Torsion(nn.Module):
    """E(φ, ψ) = Σₖ aₖ cos(mₖφ + nₖψ) + bₖ sin(mₖφ + nₖψ), with angles φ, ψ in [−π, π).

    Force fields have torsions of this form, and corrections on the plane of φ and ψ (Mackerell, Feig and Brooks, 2004,
    J. Comput. Chem. 25, 1400). The default terms have minima near those of alanine dipeptide in water: (φ, ψ) near
    (−155°, 150°), (−75°, 145°) and (−70°, −35°), and higher ones near (60°, 35°) and (75°, −70°). They are a Fourier
    fit to a sum of five von Mises densities, made for this class, and not a force field. log Z has no closed form. A
    sum over a grid of angles gives it.

    terms: rows [m, n, a, b]; m and n are integers and not both 0; a and b are in units of energy.
    """

    space = "periodic"
    frequencies: Tensor

    def __init__(self, terms: Any) -> None:
        super().__init__()
        check_terms(terms)
        self.event = (2,)
        m, n, cosine, sine = torch.tensor(terms, dtype=torch.get_default_dtype()).unbind(1)
        self.register_buffer("frequencies", torch.stack([m, n], 1))
        self.cosine = nn.Parameter(cosine.clone())
        self.sine = nn.Parameter(sine.clone())

    def forward(self, x: Float[Tensor, "n 2"]) -> Float[Tensor, " n"]:
        phase = x @ self.frequencies.T
        return phase.cos() @ self.cosine + phase.sin() @ self.sine

    def energy_and_grad(self, x: Float[Tensor, "n 2"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n 2"]]:
        phase = x @ self.frequencies.T
        cos, sin = phase.cos(), phase.sin()
        slope = self.sine * cos - self.cosine * sin
        return cos @ self.cosine + sin @ self.sine, slope @ self.frequencies


def check_terms(terms: Any) -> None:
    """Raise InputError unless these are rows [m, n, a, b] with integers m and n that are not both 0."""
    form = "terms must be a list of rows [m, n, a, b]"
    if not isinstance(terms, Sequence) or isinstance(terms, str) or not terms:
        raise InputError(f"{form}, got {terms!r}")
    for row in terms:
        if not isinstance(row, Sequence) or isinstance(row, str) or len(row) != 4:
            raise InputError(f"{form}, got {row!r}")
        for value in row:
            check.number("terms", value)
        if row[0] != int(row[0]) or row[1] != int(row[1]) or not any(row[:2]):
            raise InputError(f"terms must have integers m and n that are not both 0, got {list(row)}")
