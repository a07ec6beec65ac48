"""Potts model: sites with one of several categories that prefer, or avoid, the category of their neighbors."""

from typing import Any

import torch

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data._sites import Sites
from ebm_cli.energy._pairwise import PairwiseEnergy, check_graph, pairs_of


class Potts(PairwiseEnergy):
    """E(x) = −J Σ_⟨ij⟩ δ(xᵢ, xⱼ) − Σᵢ h(xᵢ) over pairs of neighbors ⟨ij⟩, with xᵢ one of k categories.

    Potts, 1952. A state is one-hot, so that δ(xᵢ, xⱼ) = xᵢ·xⱼ. For two categories it is the Ising model with half the
    coupling. The square lattice has its critical temperature at J/log(1 + √k) (Wu, 1982, Rev. Mod. Phys. 54, 235).

    coupling: J, positive for neighbors that prefer equal categories.
    field: h, one number per category, or 0 for none.
    graph: the pairs: lattice, periodic and of the shape of the sites; complete, all pairs; or a list of pairs of sites.
    separate: True for one coupling per pair and one field per site.
    event: shape of one state, which ends with k; 16 × 16 sites of 3 categories by default.
    """

    def __init__(
        self, coupling: float, field: float | list[float], graph: Any, separate: bool, event: tuple[int, ...] | None
    ) -> None:
        check_graph(graph)
        check.number("coupling", coupling)
        sites = Sites("categorical", event or (16, 16, 3))
        values = field if isinstance(field, list) else [field] * sites.values
        for value in values:
            check.number("field", value)
        if len(values) != sites.values:
            raise InputError(f"field must have one number per category, {sites.values}, got {len(values)}")
        super().__init__(
            sites, pairs_of(graph, sites.shape), coupling, torch.tensor([float(h) for h in values]), separate
        )
