"""Couplings of an energy of discrete sites, or the receptive fields of its hidden units."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data._sites import Sites
from ebm_cli.diagnostic import NO_ENERGY, ChainContext
from ebm_cli.energy import DISCRETE, space_of
from ebm_cli.energy._capabilities import PairCouplings, ReceptiveFields, offers
from ebm_cli.energy._pairwise import lattice_pairs
from ebm_cli.estimate import Estimate, Picture, Result
from ebm_cli.sampler._site_updates import sites_of
from ebm_cli.wells.descent import states_of

NO_COUPLINGS = "needs couplings between pairs of sites (ising, potts, hopfield) or hidden units (rbm, mlp)"
# A unit whose weights have a norm below this fraction of the largest norm counts as unused.
USED = 0.1


@dataclass(frozen=True)
class SiteCouplings:
    """Couplings J between pairs of sites.

    matrix: J, symmetric and without a diagonal.
    shape: how the sites are arranged.
    pairs: the pairs with a coupling.
    """

    matrix: Float[np.ndarray, "d d"]
    shape: tuple[int, ...]
    pairs: Int[np.ndarray, "pairs 2"]

    @property
    def values(self) -> Float[np.ndarray, " pairs"]:
        """J of each pair with a coupling."""
        return self.matrix[self.pairs[:, 0], self.pairs[:, 1]]

    @property
    def is_lattice(self) -> bool:
        """True if sites are arranged in a plane, and only neighbors in it have couplings."""
        neighbors = {tuple(pair) for pair in lattice_pairs(self.shape).tolist()}
        return len(self.shape) == 2 and all(tuple(pair) in neighbors for pair in self.pairs.tolist())


class Couplings:
    """What an energy has learned, drawn as weights: its couplings, or the receptive fields of its hidden units.

    `coupling_mean` and `coupling_rms` are the mean and the root mean square of J over pairs that have a coupling.
    `weight_rms` is that of the weights of hidden units, and `used_units` the number of units whose weights have a norm
    of at least a tenth of the largest norm. Chains are not used.

    fields: number of receptive fields in the picture, those with the largest norms (≥ 1).
    """

    spaces = DISCRETE

    def __init__(self, fields: int) -> None:
        check.count("fields", fields)
        self.fields = fields

    def __call__(self, context: ChainContext) -> Result:
        energy = context.energy
        if energy is None:
            raise InputError(NO_ENERGY)
        if offers(energy, ReceptiveFields):
            weights = energy.receptive_fields().double().cpu().numpy()
            return of_units(weights[np.argsort(-norms(weights), kind="stable")], self.fields)
        if not offers(energy, PairCouplings):
            raise InputError(NO_COUPLINGS)
        matrix = energy.coupling_matrix().double().cpu().numpy()
        x = states_of(energy, context.chains.x[0, :1])
        return of_sites(matrix, sites_of(energy, x))


def has_couplings(energy: object) -> bool:
    """Return True for an energy of discrete states with couplings or receptive fields to draw."""
    return (space_of(energy) in DISCRETE and offers(energy, ReceptiveFields)) or offers(energy, PairCouplings)


def norms(weights: Float[np.ndarray, "m *event"]) -> Float[np.ndarray, " m"]:
    """Return the Euclidean norm of each unit's weights."""
    return np.linalg.norm(weights.reshape(len(weights), -1), axis=1)


def of_units(weights: Float[np.ndarray, "m *event"], shown: int) -> Result:
    """Return the numbers and the picture of hidden units, which are in the order of their norms."""
    used = int((norms(weights) >= USED * norms(weights)[0]).sum())
    estimates = {
        "weight_rms": Estimate(float(np.sqrt(np.mean(weights**2)))),
        "used_units": Estimate(used, meaning=f"of {len(weights)} hidden units, by the norm of their weights"),
    }
    return Result(estimates, weights, partial(picture, shown=shown))


def of_sites(matrix: Float[np.ndarray, "d d"], sites: Sites) -> Result:
    """Return the numbers of couplings between sites, and a picture unless all are equal."""
    pairs = np.argwhere(np.triu(matrix != 0, 1))
    found = SiteCouplings(matrix, tuple(size for size in sites.shape if size > 1), pairs)
    values = found.values if len(pairs) else np.zeros(1)
    estimates = {
        "coupling_mean": Estimate(float(values.mean())),
        "coupling_rms": Estimate(float(np.sqrt(np.mean(values**2)))),
    }
    is_equal = bool(np.all(values == values[0]))
    note = (
        [f"couplings: all {len(pairs)} are equal to {values[0]:.4g}, so that there is no picture"] if is_equal else []
    )
    return Result(estimates, found, None if is_equal else picture, note)


def picture(result: Result, shown: int = 0) -> Picture:
    """Draw receptive fields, or couplings on a lattice or as a matrix."""
    from ebm_cli.diagnostic import _couplings_figure

    if isinstance(result.arrays, SiteCouplings):
        return _couplings_figure.couplings(result.arrays)
    return _couplings_figure.receptive_fields(result.arrays[:shown], len(result.arrays))
