"""The coordinates and the base distribution of paths to models of discrete states."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data._sites import Sites
from ebm_cli.density.bernoulli import independent
from ebm_cli.path._annealing_path import AnnealingPath
from ebm_cli.path._coordinates import StateCoordinates

# Rows that are added to those of the data, one for each value of a site. Therefore no value has rate 0.
PSEUDO_ROWS = 1.0


class SiteCoordinates(StateCoordinates):
    """U(x) = E(x)/T of discrete states: the coordinates are the states."""

    @property
    def sites(self) -> Sites:
        """Return the sites of a state."""
        return Sites(self.space, tuple(self.event))


def rates_path(
    energy: nn.Module, temperature: float, event: tuple[int, ...], rows: Float[Tensor, "n *event"] | None
) -> AnnealingPath:
    """Return the densities from independent sites, with the rates of these rows, to a model."""
    space = SiteCoordinates(energy, temperature, event)
    if rows is not None:
        check_rows(space.sites, rows)
    return AnnealingPath(space, RatesBase(space.sites, rows, space.center))


def check_rows(sites: Sites, rows: Float[Tensor, "n *event"]) -> None:
    """Raise InputError unless the rows are states."""
    if not sites.contain(rows):
        raise InputError(f"path=rates needs rows of {sites.description}")


class RatesBase(nn.Module):
    """U₀(x) = −Σᵢ log rᵢ(xᵢ): independent sites, with rates rᵢ of their values.

    rates: of each site's values, fitted to rows; uniform without rows.
    """

    log_rates: Tensor

    def __init__(self, sites: Sites, rows: Float[Tensor, "n *event"] | None, like: Tensor) -> None:
        super().__init__()
        self.sites = sites
        numbers = torch.zeros(0, sites.count, dtype=torch.int64) if rows is None else sites.numbers(rows).cpu()
        log_rates = independent(numbers, sites, PSEUDO_ROWS * sites.values).log_p[0]
        self.register_buffer("log_rates", log_rates.to(like), persistent=False)
        self.description = "independent sites" + (" with the rates of the rows" if rows is not None else "")

    def energy_and_grad(self, z: Float[Tensor, "n *d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *d"]]:
        v = self.sites.by_site(z)
        if self.sites.space == "categorical":
            slope, constant = -self.log_rates, 0.0
        else:
            low, high = self.sites.vectors(z)[:, 0]
            slope = ((self.log_rates[:, 0] - self.log_rates[:, 1]) / (high - low))[:, None]
            constant = (-self.log_rates[:, 0] - low * slope[:, 0]).sum()
        return (v * slope).flatten(1).sum(1) + constant, slope.expand_as(v).reshape(z.shape)

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n *d"]:
        numbers = torch.multinomial(self.log_rates.exp(), n, replacement=True, generator=rng).T
        return self.sites.states(numbers, self.log_rates.dtype)

    def site_logits(self, sites: Int[Tensor, " m"]) -> Float[Tensor, "m k"]:
        """Return log rᵢ of every value of each of these sites."""
        return self.log_rates[sites]
