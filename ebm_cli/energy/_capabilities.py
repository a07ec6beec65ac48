"""What an energy can offer beyond E(x): log Z, exact draws, conditionals, couplings; a Protocol for each."""

from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from typing_extensions import TypeIs

Capability = TypeVar("Capability")


@runtime_checkable
class ExactLogZ(Protocol):
    """log Z(T) = log ∫ exp(−E(x)/T) dx in closed form."""

    def log_z(self, temperature: float) -> float: ...


@runtime_checkable
class LogPartition(Protocol):
    """log Z(T) in double precision, differentiable with respect to the parameters: −T ∂log Z/∂θ is the mean of ∂E/∂θ.

    Raises ValueError at a temperature without closed form.
    """

    def log_partition(self, temperature: float) -> Float[Tensor, ""]: ...


@runtime_checkable
class ExactDraws(Protocol):
    """Independent draws from exp(−E/T)/Z."""

    def draw(self, n: int, temperature: float, rng: torch.Generator) -> Float[Tensor, "n *event"]: ...


@runtime_checkable
class AnalyticGradient(Protocol):
    """E(x) and ∇E(x) by formula, faster than autograd; equal to `forward` and its derivative."""

    def energy_and_grad(
        self, x: Float[Tensor, "n *event"]
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]: ...


@runtime_checkable
class Logits(Protocol):
    """f(x)[y] with p(y|x) = softmax f(x) and E(x) = −log Σ_y exp f(x)[y]."""

    def logits(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n classes"]: ...


@runtime_checkable
class Conditionals(Protocol):
    """The distribution of a discrete site given all others, faster than from E of every value of the site.

    E is linear in the vector of each site, so that ∇E also gives the differences of E between the values of a site.
    """

    def independent_sites(self) -> list[Int[Tensor, " _"]]:
        """Return all sites in groups. Sites of one group are independent of each other, given the others."""
        ...

    def site_logits(self, x: Float[Tensor, "n *event"], sites: Int[Tensor, " m"]) -> Float[Tensor, "n m k"]:
        """Return −E of every value of each of these sites, given all other sites, up to a constant per site."""
        ...


@runtime_checkable
class LatticeLevels(Protocol):
    """Sites with two values on a lattice, each with a distribution that depends only on which of a few levels it has.

    The level of a site is a function of its neighbors. Values v have the chains along the last axis, so that shifts of
    the lattice move whole rows of memory.
    """

    def has_levels(self) -> bool:
        """Return True if the energy is such a lattice; it may have another graph, or several couplings."""
        ...

    def sublattices(self) -> list[Bool[Tensor, "*event"]]:
        """Return the sites of each group of independent sites; none if the energy is no such lattice."""
        ...

    def level_logits(self) -> Float[Tensor, " levels"]:
        """Return −E of the second value of a site minus that of its first, at every level, in rising order."""
        ...

    def site_levels(self, v: Float[Tensor, "*event n"]) -> Float[Tensor, "*event n"]:
        """Return the level of every site, counted from 0."""
        ...

    def lattice_energy(self, v: Float[Tensor, "*event n"]) -> Float[Tensor, " n"]:
        """Return E."""
        ...


@runtime_checkable
class OrderParameter(Protocol):
    """A number that is 1 if all sites have one value, and about 0 if they are independent."""

    def n_sites(self) -> int: ...

    def order_parameter(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]: ...


@runtime_checkable
class PairBonds(Protocol):
    """E is a sum over pairs of sites that depends only on whether the two have equal values."""

    def bonds(self) -> Int[Tensor, "pairs 2"]:
        """Return the two sites of each pair."""
        ...

    def bond_energies(self) -> Float[Tensor, " pairs"]:
        """Return the energy of different values minus that of equal values, of each pair.

        Raises InputError if the energy has other terms, or if a pair prefers different values.
        """
        ...


@runtime_checkable
class PairCouplings(Protocol):
    """E has a term −Jᵢⱼ xᵢ·xⱼ for every pair of sites."""

    def coupling_matrix(self) -> Float[Tensor, "d d"]:
        """Return J, symmetric and without a diagonal."""
        ...


@runtime_checkable
class ReceptiveFields(Protocol):
    """Units that see a state through one weight per coordinate."""

    def receptive_fields(self) -> Float[Tensor, "m *event"]:
        """Return the weights of each unit."""
        ...


@runtime_checkable
class HiddenUnits(Protocol):
    """E(v) = −T log Σ_h exp(−E(v, h)/T): hidden units h ∈ {0, 1}^m can be drawn given v, and v given h."""

    def set_temperature(self, temperature: float) -> None:
        """Set T. It is that of the sampler."""
        ...

    def draw_hidden_units(
        self, v: Float[Tensor, "n *event"], temperature: float, rng: torch.Generator
    ) -> Float[Tensor, "n m"]:
        """Return hidden units drawn from exp(−E(v, h)/T), given v."""
        ...

    def visible_logits(self, h: Float[Tensor, "n m"]) -> Float[Tensor, "n *event"]:
        """Return E(vᵢ = 0, h) − E(vᵢ = 1, h) of each visible unit. Visible units are independent given h."""
        ...

    def joint(self) -> nn.Module:
        """Return E(v, h) as an energy of visible units followed by hidden units. It has the same log Z."""
        ...


def offers(energy: object, capability: type[Capability]) -> TypeIs[Capability]:
    """Return True if the energy's class has the methods of a capability; submodules and buffers do not count.

    isinstance() with a Protocol checks the instance, before Python 3.12 with hasattr. A submodule called `logits` would
    pass for a method.
    """
    return issubclass(type(energy), capability)
