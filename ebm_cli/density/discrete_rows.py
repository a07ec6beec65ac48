"""Rows with finitely many values per site, as whole numbers, and densities over them."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from ebm_cli import rng
from ebm_cli.data import Data, RedrawnData, row_space
from ebm_cli.data._sites import Sites
from ebm_cli.density.fit_data import limit_rows, split_parts

# Pseudo-counts per distribution that are tried. They keep a value that training rows lack possible.
PSEUDO_COUNTS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
# Draws of each training row, if rows are drawn again for each batch.
COPIES = 5


@dataclass(frozen=True)
class DiscreteFitData:
    """Training rows as the numbers of the values of d sites, on the CPU.

    sites: the sites of a row.
    fit: four fifths of the rows, to which candidates are fitted, each possibly drawn several times.
    check: the last fifth, by which a candidate is chosen.
    seed: seed of the fit.
    """

    sites: Sites
    fit: Int[Tensor, "n d"]
    check: Int[Tensor, "m d"]
    seed: int

    @property
    def whole(self) -> Int[Tensor, "rows d"]:
        """Return both parts, for the last fit."""
        return torch.cat([self.fit, self.check])


def make_discrete_fit_data(data: Data, seed: int) -> DiscreteFitData:
    """Return up to 20,000 rows of the training split, in two parts. The parts do not depend on the seed.

    Rows that are drawn again for each batch are in the first part several times, as they are in training.
    """
    sites, x = Sites(row_space(data), tuple(data.event)), data.split("train").x
    generator = rng.generator(0, "baseline/redraw", x.device)
    again = [data.redraw(generator) for _ in range(COPIES - 1)] if isinstance(data, RedrawnData) else []
    rows = [x, *(each for each in again if each is not None)]
    parts = [split_parts(sites.numbers(limit_rows(each.detach().cpu()))) for each in rows]
    return DiscreteFitData(sites, torch.cat([fit for fit, _ in parts]), parts[0][1], seed)


@runtime_checkable
class DiscreteDensity(Protocol):
    """Probabilities of rows of values. words: describes the density and the sizes that were chosen."""

    @property
    def words(self) -> str: ...

    def log_prob(self, numbers: Int[Tensor, "n d"]) -> Float[Tensor, " n"]: ...

    def draw(self, n: int, rng: torch.Generator) -> Int[Tensor, "n d"]: ...


@dataclass(frozen=True)
class StateDensity:
    """A density over rows of values as one over flattened states."""

    sites: Sites
    over_numbers: DiscreteDensity

    @property
    def words(self) -> str:
        return self.over_numbers.words

    def log_prob(self, x: Float[Tensor, "n size"]) -> Float[Tensor, " n"]:
        return self.over_numbers.log_prob(self.sites.numbers(x.view(-1, *self.sites.event)))

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n size"]:
        """Return n independent draws."""
        return self.sites.states(self.over_numbers.draw(n, rng), torch.float64).flatten(1)


@dataclass(frozen=True)
class ProductMixture:
    """log Σₘ wₘ Πᵢ pₘᵢ(xᵢ): sites are independent within each component."""

    words: str
    log_weights: Float[Tensor, " components"]
    log_p: Float[Tensor, "components d k"]

    def log_prob(self, numbers: Int[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return self.joint(indicators(numbers, self.log_p.shape[2])).logsumexp(1)

    def joint(self, indicators: Float[Tensor, "n features"]) -> Float[Tensor, "n components"]:
        """Return log wₘ Πᵢ pₘᵢ(xᵢ) of each component. The first value of a site is the one without an indicator."""
        ratios = self.log_p[:, :, 1:] - self.log_p[:, :, :1]
        return indicators @ ratios.flatten(1).T + self.log_p[:, :, 0].sum(1) + self.log_weights

    def draw(self, n: int, rng: torch.Generator) -> Int[Tensor, "n d"]:
        """Return n independent draws."""
        which = torch.multinomial(self.log_weights.exp(), n, replacement=True, generator=rng)
        p = self.log_p.exp()[which]
        return torch.multinomial(p.flatten(0, 1), 1, generator=rng).view(n, -1)


def indicators(numbers: Int[Tensor, "n d"], k: int) -> Float[Tensor, "n features"]:
    """Return for each site one indicator of each value but the first, in double precision."""
    return one_hot(numbers, k)[:, :, 1:].flatten(1).double()
