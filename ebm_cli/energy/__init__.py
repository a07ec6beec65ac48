"""Energies: E(x) with p(x) = exp(−E(x)/T)/Z(T); one file per energy.

An energy is an `nn.Module` whose `forward(x: (n, *event), **condition) -> (n,)`. Nothing else is required. An energy
that has more than E, such as log Z, offers it through the Protocols of `_capabilities.py`.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrize import ParametrizationList

from ebm_cli.check import InputError
from ebm_cli.data import DISCRETE, SPACES
from ebm_cli.energy._capabilities import AnalyticGradient, offers

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
