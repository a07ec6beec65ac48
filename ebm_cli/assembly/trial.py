"""Try an energy before a verb runs. Each mistake that a user's own class may contain is reported in one line."""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError
from ebm_cli.data import _angles
from ebm_cli.data._sites import Sites
from ebm_cli.energy import DISCRETE, NO_GRADIENT, SMOOTH, frozen, space_of
from ebm_cli.run.machine import default_device

# Minimum number of states. It is small because energies may be large networks.
MIN_STATES = 5
# Two energies are equal if they differ by less than eps^0.6 of the largest energy.
EQUAL_POWER = 0.6
# Largest number of angles whose period is tried.
MAX_SHIFTED = 64


def try_energy(energy: nn.Module, event: tuple[int, ...], needs_gradient: bool = True) -> None:
    """Raise InputError unless E is a differentiable function of each state alone, tried on random states.

    E may be +∞ where p is 0, but neither NaN nor −∞. The global random number generators do not change.

    needs_gradient: True to refuse an energy that is piecewise constant.
    """
    # The number of states differs from all sizes of a state. Therefore a sum over states instead of coordinates shows.
    n = next(size for size in range(MIN_STATES, MIN_STATES + len(event) + 2) if size not in event)
    with torch.random.fork_rng(devices=[]), frozen(energy):
        x = random_states(n, event, space_of(energy))
        e = energy_of(energy, x)
        check_values(e, x)
        check_rows_alone(energy, x, e)
        if space_of(energy) == _angles.SPACE:
            check_period(energy, x, e)
        if space_of(energy) in SMOOTH:
            check_gradient(energy, x, e, needs_gradient)


def random_states(n: int, event: tuple[int, ...], space: str) -> Float[Tensor, "n *event"]:
    """Return normal noise, or uniform values of discrete sites, on the default device and of the default type."""
    rng = torch.Generator().manual_seed(0)
    with default_device("cpu"):
        x = (
            Sites(space, event).uniform(n, rng, torch.get_default_dtype())
            if space in DISCRETE
            else torch.randn(n, *event, generator=rng)
        )
    return x.to(torch.get_default_device())


def energy_of(energy: nn.Module, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """Return E of these states without a gradient.

    Raises InputError unless it is one real number per state, and the call does not change x.
    """
    given = x.clone()
    with torch.no_grad():
        e = attempt(lambda: energy(given), f"on x of shape {shape(x)}")
    if not torch.equal(given, x):
        raise InputError("forward changes its argument x in place (such as x -= 1): write x = x - 1")
    if not isinstance(e, Tensor) or e.shape != (len(x),):
        got = shape(e) if isinstance(e, Tensor) else type(e).__name__
        hint = ", which sums over rows: sum over x.flatten(1), dimension 1" if got == shape(x[0]) else ""
        raise InputError(f"forward must give one number per row: shape ({len(x)},) for {len(x)} rows, got {got}{hint}")
    if e.is_complex():
        raise InputError(f"forward must give real numbers, got {e.dtype}: take .real or .abs()")
    if not e.is_floating_point():
        raise InputError(f"forward must give floating-point numbers, got {e.dtype}: it has no gradient; drop .long()")
    return e


def check_values(e: Float[Tensor, " n"], x: Float[Tensor, "n *event"]) -> None:
    """Raise InputError for an energy that is −∞ or not a number at any of these states."""
    for wrong, what, remedy in (
        (e.isnan(), "NaN", "give +∞ (float('inf')) where p is 0"),
        (e == -math.inf, "−∞", "exp(−E/T) is infinite there; bound E from below"),
    ):
        if bool(wrong.any()):
            where = ", ".join(f"{v:.3g}" for v in x[wrong][0].flatten()[:4].tolist())
            more = ", …" if x[0].numel() > 4 else ""
            raise InputError(f"forward gives {what} at x = ({where}{more}): {remedy}")


def check_rows_alone(energy: nn.Module, x: Float[Tensor, "n *event"], e: Float[Tensor, " n"]) -> None:
    """Raise InputError unless the energy of each state is independent of the other states and of their order."""
    order = torch.arange(len(x), device=x.device).flip(0)
    half = len(x) // 2
    ways: list[tuple[str, Callable[[], Tensor]]] = [
        ("at a second call", lambda: energy(x.clone())),
        ("in another order", lambda: energy(x[order])[order]),
        ("in two parts", lambda: torch.cat([energy(x[:half]), energy(x[half:])])),
        ("alone", lambda: torch.cat([energy(row[None]) for row in x])),
    ]
    tolerance = equality_tolerance(e)
    for how, way in ways:
        with torch.no_grad():
            try:
                other = way()
            except Exception as error:
                raise InputError(
                    f"forward fails for rows {how}, {reason(error)}: E(x) must not need the other rows of a batch"
                ) from error
        differs = ~((other == e) | ((other - e).abs() <= tolerance))
        if other.shape != e.shape or bool(differs.any()):
            what = "a random number" if how == "at a second call" else "the other rows of a batch"
            row = int(differs.int().argmax()) if other.shape == e.shape else 0
            raise InputError(
                f"forward gives a row another energy {how} ({float(e[row]):.6g}, then {float(other[row]):.6g}): E(x) "
                f"depends on {what}, such as by BatchNorm or a mean over rows, and has no log Z"
            )


def equality_tolerance(e: Float[Tensor, " n"]) -> float:
    """Return the largest difference of energies of this size that count as equal."""
    finite = e[e.isfinite()].abs()
    return torch.finfo(e.dtype).eps ** EQUAL_POWER * (float(finite.max()) if len(finite) else 1.0)


def check_period(energy: nn.Module, x: Float[Tensor, "n *event"], e: Float[Tensor, " n"]) -> None:
    """Raise InputError unless E stays the same if one angle grows by 2π, for up to 64 of the angles."""
    flat = x.flatten(1)
    for i in range(0, flat.shape[1], -(-flat.shape[1] // MAX_SHIFTED)):
        moved = flat.clone()
        moved[:, i] += _angles.PERIOD
        other = energy_of(energy, moved.view(x.shape))
        differs = ~((other == e) | ((other - e).abs() <= equality_tolerance(e)))
        if bool(differs.any()):
            row = int(differs.int().argmax())
            raise InputError(
                f"forward must have the period 2π in each angle of periodic states, but E changes from "
                f"{float(e[row]):.6g} to {float(other[row]):.6g} if number {i} of x grows by 2π: use cos x and sin x"
            )


def check_gradient(
    energy: nn.Module, x: Float[Tensor, "n *event"], e: Float[Tensor, " n"], needs_gradient: bool
) -> None:
    """Raise InputError unless autograd gives a gradient with respect to x that is finite where E is finite."""
    x = x.clone().requires_grad_(True)
    with torch.enable_grad():
        again = attempt(lambda: energy(x), f"on x of shape {shape(x)} that needs a gradient")
        if not again.requires_grad:
            raise InputError(NO_GRADIENT)
        (grad,) = attempt(lambda: torch.autograd.grad(again.sum(), x), "in its gradient")
    finite = e.isfinite()
    grad = grad[finite]
    if bool(grad.isnan().any()):
        raise InputError(
            "forward has a gradient of NaN where E is finite: torch.where passes on NaN of the branch not taken; clamp "
            "what goes into it"
        )
    if needs_gradient and len(e[finite].unique()) > 1 and not bool((grad != 0).any()):
        raise InputError(
            "forward is piecewise constant: E differs between states, but its gradient is 0 at all of them. No sampler "
            "can follow it; make E continuous"
        )


def attempt(action: Callable[[], Any], where: str) -> Any:
    """Return action(). If it raises any error, raise InputError with that error."""
    try:
        return action()
    except Exception as error:
        raise InputError(f"forward fails {where}: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return the type and the first line of an error."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def shape(x: Tensor) -> str:
    """Return the shape of a tensor as text."""
    return str(tuple(x.shape))
