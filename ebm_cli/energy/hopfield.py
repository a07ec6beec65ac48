"""Hopfield network: an associative memory whose minima are the stored patterns."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Data
from ebm_cli.data._sites import Sites
from ebm_cli.energy import NO_EVENT
from ebm_cli.energy._stored_patterns import stored_patterns

STORAGE = ("hebbian", "pseudo_inverse", "zero")


class Hopfield(nn.Module):
    """E(x) = −½ xᵀWx − bᵀx, with W symmetric and without a diagonal, xᵢ = ±1, or 0 and 1.

    Hopfield, 1982. A unit that takes its value of lower energy never raises E; sampler=asynchronous does that at T = 0.
    For P stored patterns ξ of N units ±1, b = 0 and

    - hebbian: W = (1/N) Σ ξξᵀ without its diagonal. For large N it recalls up to P = 0.138 N random patterns (Amit,
      Gutfreund and Sompolinsky, 1985);
    - pseudo_inverse: W = ΞΞ⁺, the projection on the patterns Ξ, without its diagonal. It recalls any N/2 or fewer
      independent patterns (Personnaz, Guyon and Dreyfus, 1985);
    - zero: W = 0, to be trained as a Boltzmann machine.

    Units of 0 and 1 get the same energies: with s = 2x − 1, −½ sᵀWs = −½ xᵀ(4W)x + 2(W1)ᵀx + constant.

    storage: hebbian, pseudo_inverse or zero.
    values: spin (±1) or binary (0 and 1).
    data: its training rows are the patterns; a positive coordinate is the larger value of its unit.
    event: shape of one state; that of the rows by default.
    """

    def __init__(self, storage: str, values: str, event: tuple[int, ...] | None, data: Data | None) -> None:
        super().__init__()
        check.every(
            lambda: check.one_of("storage", storage, STORAGE),
            lambda: check.one_of("values", values, ["spin", "binary"]),
        )
        dtype = torch.get_default_dtype()
        if storage == "zero":
            if event is None:
                raise InputError(NO_EVENT)
            self.event = event
            size = Sites(values, self.event).count
            weight, bias = torch.zeros(size, size), torch.zeros(size)
        else:
            patterns = stored_patterns(data, event)
            self.event = tuple(patterns.shape[1:])
            weight, bias = weights_of(2 * (patterns.flatten(1) > 0).double() - 1, storage, values)
        self.space, self.sites = values, Sites(values, self.event)
        self.weight, self.bias = nn.Parameter(weight.to(dtype)), nn.Parameter(bias.to(dtype))

    @property
    def couplings(self) -> Float[Tensor, "d d"]:
        """Return W: symmetric, with a diagonal of zeros, whatever training does to the parameter."""
        symmetric = 0.5 * (self.weight + self.weight.T)
        return symmetric - symmetric.diagonal().diag()

    def coupling_matrix(self) -> Float[Tensor, "d d"]:
        return self.couplings.detach()

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        v = x.flatten(1)
        return -(v * (0.5 * v @ self.couplings + self.bias)).sum(1)

    def energy_and_grad(self, x: Float[Tensor, "n *event"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
        v = x.flatten(1)
        sums = v @ self.couplings
        return -(v * (0.5 * sums + self.bias)).sum(1), -(sums + self.bias).view(x.shape)

    def independent_sites(self) -> list[Int[Tensor, " _"]]:
        return list(torch.arange(self.sites.count, device=self.bias.device).split(1))

    def site_logits(self, x: Float[Tensor, "n *event"], sites: Int[Tensor, " m"]) -> Float[Tensor, "n m k"]:
        weight = self.weight
        columns = 0.5 * (weight[:, sites] + weight[sites].T)
        v = x.flatten(1)
        force = v @ columns - v[:, sites] * weight[sites, sites] + self.bias[sites]
        return force[..., None] * self.sites.vectors(x)[:, 0]


def weights_of(
    patterns: Float[Tensor, "P d"], storage: str, values: str
) -> tuple[Float[Tensor, "d d"], Float[Tensor, " d"]]:
    """Return W and b that store patterns of ±1, for units with these values."""
    size = patterns.shape[1]
    weight = patterns.T @ patterns / size if storage == "hebbian" else torch.linalg.pinv(patterns) @ patterns
    weight = weight - weight.diagonal().diag()
    return (weight, weight.new_zeros(size)) if values == "spin" else (4 * weight, -2 * weight.sum(1))
