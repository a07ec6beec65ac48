"""Energies: E(x) with p(x) = exp(−E(x)/T)/Z(T). Every other file in this folder is one of them.

An energy is an `nn.Module` whose `forward(x: (n, *event), **condition) -> (n,)`; nothing else is asked of
it. What one knows beyond E it offers through the Protocols below.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrize import ParametrizationList
from typing_extensions import TypeIs

from ebm_cli.check import InputError

Capability = TypeVar("Capability")

NO_GRADIENT = (
    "forward gives no gradient: it is under torch.no_grad(), leaves torch (numpy, .item(), .detach()) or is constant "
    "in pieces; compute E from x by torch operations alone"
)


@runtime_checkable
class ExactLogZ(Protocol):
    """log Z(T) = log ∫ exp(−E(x)/T) dx in closed form."""

    def log_z(self, temperature: float) -> float: ...


@runtime_checkable
class LogPartition(Protocol):
    """The same in double precision, to be differentiated by the parameters: −T ∂log Z/∂θ is the mean of ∂E/∂θ.

    ValueError at a temperature that has no closed form.
    """

    def log_partition(self, temperature: float) -> Float[Tensor, ""]: ...


@runtime_checkable
class ExactDraws(Protocol):
    """Independent draws from exp(−E/T)/Z."""

    def draw(self, n: int, temperature: float, rng: torch.Generator) -> Float[Tensor, "n *event"]: ...


@runtime_checkable
class ExactMoments(Protocol):
    """Mean and variance of every coordinate under exp(−E/T)/Z."""

    def moments(self, temperature: float) -> tuple[Float[Tensor, "*event"], Float[Tensor, "*event"]]: ...


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


def offers(energy: object, capability: type[Capability]) -> TypeIs[Capability]:
    """Whether the energy's class has the methods of a capability; a submodule or buffer of that name is none.

    isinstance() with a Protocol looks at instances, before Python 3.12 by hasattr, and so takes a submodule called
    `logits` for a method.
    """
    return issubclass(type(energy), capability)


def declared(energy: object, name: str) -> Any:
    """What a part's class or __init__ gives under this name; None for a submodule, parameter or buffer."""
    return getattr(energy, "__dict__", {}).get(name, getattr(type(energy), name, None))


def space_of(energy: nn.Module) -> str:
    """continuous, or what an energy declares as `space`: binary or categorical."""
    space = declared(energy, "space")
    return space if isinstance(space, str) else "continuous"


def energy_and_grad(
    energy: nn.Module, x: Float[Tensor, "n *event"], **condition: Any
) -> tuple[Float[Tensor, " n"], Float[Tensor, "n *event"]]:
    """E(x) and ∇ₓE(x) from one forward pass; leaves nothing in any `.grad`.

    An energy that offers `AnalyticGradient` is asked for both itself.
    """
    if offers(energy, AnalyticGradient) and not condition:
        with torch.no_grad():
            return energy.energy_and_grad(x)
    if torch.compiler.is_compiling():
        # The compiler traces functional differentiation, which is slower than autograd where nothing is compiled.
        grad, (_, e) = torch.func.grad_and_value(_total(energy, condition), has_aux=True)(x)
        return e.detach(), grad
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        e = energy(x, **condition)
        if not e.requires_grad:
            raise InputError(f"energy.{NO_GRADIENT}")
        (grad,) = torch.autograd.grad(e.sum(), x)
    return e.detach(), grad


def _total(energy: nn.Module, condition: dict[str, Any]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """x to the sum of energies, which is what is differentiated, and the energies."""

    def total(x: Tensor) -> tuple[Tensor, Tensor]:
        e = energy(x, **condition)
        return e.sum(), e

    return total


def check_bounded(e: Float[Tensor, " n"], x: Float[Tensor, "n *event"]) -> None:
    """Raise InputError where E is −∞ at one of these states."""
    below = e == -math.inf
    if bool(below.any()):
        at = x[below.to(x.device)][0].flatten()
        shown = ", ".join(f"{v:.4g}" for v in at[:4].tolist()) + (", …" if len(at) > 4 else "")
        raise InputError(f"energy is −∞ at x = ({shown}), where exp(−E/T) is infinite: bound E from below")


def device_of(energy: nn.Module) -> torch.device:
    """Where an energy computes; the CPU for one without parameters or buffers."""
    tensor = next(energy.parameters(), next(energy.buffers(), None))
    return torch.device("cpu") if tensor is None else tensor.device


@contextmanager
def frozen(energy: nn.Module) -> Iterator[None]:
    """Inside the block no parameter requires a gradient and layers are in evaluation mode; both are restored.

    Weights that are computed from others (spectral normalisation) are computed once for the whole block.
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
def evaluating(energy: nn.Module) -> Iterator[None]:
    """Inside the block layers are in evaluation mode and parameters can be trained; modes are restored.

    Only what computes weights from others (spectral normalisation) stays in its mode, as it learns where it is used.
    """
    computing = {m for part in energy.modules() if isinstance(part, ParametrizationList) for m in part.modules()}
    training = [m for m in energy.modules() if m.training and m not in computing]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def per_coordinate(name: str, value: float | list[float], event: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of one state for a parameter that is one number, or a list with one a coordinate.

    Raises InputError where neither `event` nor the list gives a shape, and where the two do not agree.
    """
    if event is None and not isinstance(value, list):
        raise InputError("event is not known: give a shape such as 'event=[2]', or data")
    shape = event if event is not None else (len(value),) if isinstance(value, list) else ()
    if isinstance(value, list) and math.prod(shape) != len(value):
        raise InputError(f"{name} must have one value a coordinate, got {len(value)} for event={list(shape)}")
    return shape
