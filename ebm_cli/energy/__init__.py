"""Energies: E(x) with p(x) = exp(−E(x)/T)/Z(T); one file per energy.

An energy is an `nn.Module` whose `forward(x: (n, *event), **condition) -> (n,)`. Nothing else is required. An energy
that has more than E, such as log Z, offers it through the Protocols below.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrize import ParametrizationList
from typing_extensions import TypeIs

from ebm_cli.check import InputError
from ebm_cli.data import DISCRETE, SPACES

Capability = TypeVar("Capability")

# The `spaces` of a part that works only on such states: real numbers without bounds; numbers by which E is
# differentiated, real numbers or angles. For other parts they are DISCRETE.
CONTINUOUS = frozenset(("continuous",))
SMOOTH = frozenset(SPACES) - DISCRETE
# The `spaces` of a part that has a form for real numbers and one for discrete states, but none for angles.
NOT_PERIODIC = CONTINUOUS | DISCRETE

# Starts with the key, because it is reported under the name of the energy.
NO_EVENT = "event is unknown, the shape of one sample: set it, for example 'event=[2]', or choose data"
NO_GRADIENT = (
    "forward gives no gradient: it is under torch.no_grad(), leaves torch (numpy, .item(), .detach()) or is piecewise "
    "constant; compute E from x only by torch operations"
)


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


def declared_attribute(energy: object, name: str) -> Any:
    """Return the attribute that the class or __init__ sets under this name; None for submodules and tensors."""
    return getattr(energy, "__dict__", {}).get(name, getattr(type(energy), name, None))


def space_of(part: object) -> str:
    """Return the `space` that an energy or a data set declares, otherwise continuous."""
    space = declared_attribute(part, "space")
    return space if isinstance(space, str) else "continuous"


def works_on(part: object, space: str) -> bool:
    """Return whether a part, or a class of parts, works on states of this space.

    A part whose method needs a gradient or steps of any size declares `spaces` on its class. One that declares none
    works on every space.
    """
    spaces = getattr(part if isinstance(part, type) else type(part), "spaces", SPACES)
    return space in spaces


def energy_and_grad(
    energy: nn.Module, x: Float[Tensor, "n *event"], **condition: Any
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
    """Return E(x) and ∇ₓE(x) from one forward pass, or from the energy's `AnalyticGradient`; no `.grad` changes."""
    if offers(energy, AnalyticGradient) and not condition:
        with torch.no_grad():
            return energy.energy_and_grad(x)
    if torch.compiler.is_compiling():
        # The compiler traces functional differentiation. In code that is not compiled, it is slower than autograd.
        grad, (_, e) = torch.func.grad_and_value(_total_energy(energy, condition), has_aux=True)(x)
        return e.detach(), grad
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        e = energy(x, **condition)
        if not e.requires_grad:
            raise InputError(f"energy.{NO_GRADIENT}")
        (grad,) = torch.autograd.grad(e.sum(), x)
    return e.detach(), grad


def _total_energy(energy: nn.Module, condition: dict[str, Any]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Return the function from x to Σ E, for differentiation, and E."""

    def total(x: Tensor) -> tuple[Tensor, Tensor]:
        e = energy(x, **condition)
        return e.sum(), e

    return total


def check_bounded(e: Float[Tensor, " n"], x: Float[Tensor, "n *event"]) -> None:
    """Raise InputError if E is −∞ at any of these states."""
    below = e == -math.inf
    if bool(below.any()):
        at = x[below.to(x.device)][0].flatten()
        text = ", ".join(f"{v:.4g}" for v in at[:4].tolist()) + (", …" if len(at) > 4 else "")
        raise InputError(f"energy is −∞ at x = ({text}), where exp(−E/T) is infinite: bound E from below")


def device_of(energy: nn.Module) -> torch.device:
    """Return the device of an energy; the CPU for an energy without parameters and buffers."""
    tensor = next(energy.parameters(), next(energy.buffers(), None))
    return torch.device("cpu") if tensor is None else tensor.device


@contextmanager
def frozen(energy: nn.Module) -> Iterator[None]:
    """Make no parameter require a gradient and put layers in evaluation mode inside the block; restore both after it.

    Weights that are computed from others (spectral normalization) are computed once for the whole block.
    """
    trainable = [p for p in energy.parameters() if p.requires_grad]
    training = [m for m in energy.modules() if m.training]
    energy.eval()
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        with parametrize.cached():
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        for module in training:
            module.training = True


@contextmanager
def evaluation_mode(energy: nn.Module) -> Iterator[None]:
    """Put layers in evaluation mode inside the block, with trainable parameters; restore the modes after it.

    Modules that compute weights from others (spectral normalization) keep their mode, because their state must change.
    """
    parametrizations = {m for part in energy.modules() if isinstance(part, ParametrizationList) for m in part.modules()}
    training = [m for m in energy.modules() if m.training and m not in parametrizations]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def event_shape(name: str, value: float | list[float], event: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the shape of one state for a parameter that is one number or a list with one number per coordinate.

    Raises InputError if neither `event` nor the list determines a shape, or if they disagree.
    """
    if event is None:
        if not isinstance(value, list):
            raise InputError(NO_EVENT)
        return (len(value),)
    if isinstance(value, list) and math.prod(event) != len(value):
        raise InputError(f"{name} must have one value per coordinate, got {len(value)} for event={list(event)}")
    return event
