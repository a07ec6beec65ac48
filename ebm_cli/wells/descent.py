"""Descent: evaluating an energy on many states, and the minima that steepest descent from them reaches."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.energy import device_of, energy_and_grad, frozen
from ebm_cli.sampler import per_chain, select_chains

MAX_STEPS = 400
# A row is finished if its next step would lower E by less than this fraction of T.
MIN_DECREASE = 1e-5
# Number of steps between checks of the rows. A check costs more than a few unnecessary steps.
CHECK_EVERY = 8
MAX_STATES_PER_CALL = 16384


def states_of(energy: nn.Module, x: np.ndarray) -> Float[Tensor, "n *event"]:
    """Return rows as states with the energy's dtype and device."""
    tensor = next(energy.parameters(), next(energy.buffers(), None))
    dtype = torch.get_default_dtype() if tensor is None else tensor.dtype
    return torch.as_tensor(np.ascontiguousarray(x), dtype=dtype, device=device_of(energy))


def values(energy: nn.Module, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """Return E of many states, computed in parts that fit the memory."""
    with frozen(energy), torch.no_grad():
        return torch.cat([energy(part) for part in x.split(MAX_STATES_PER_CALL)])


def distances(x: Float[Tensor, "n *event"], y: Float[Tensor, "m *event"]) -> Float[Tensor, "n m"]:
    """Return ‖xᵢ − yⱼ‖."""
    return torch.cdist(x.flatten(1), y.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")


def rms_radius(x: Float[Tensor, "n *event"]) -> float:
    """Return √(mean over rows of ‖x − mean‖²); 1 if all rows are equal."""
    radius = float((x - x.mean(0)).flatten(1).square().sum(1).mean().sqrt())
    return radius if radius > 0 else 1.0


def descend(
    energy: nn.Module, x: Float[Tensor, "n *event"], temperature: float, reach: float, steps: int = MAX_STEPS
) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
    """Return the final state and energy of steepest descent from each row: x' = x − η∇E, E(x') ≤ E(x) at every step.

    Each row has its own η: Barzilai and Borwein, 1988 (IMA J. Numer. Anal. 8, 141), eq. 5, ‖Δx‖²/Δx·Δ∇E, quartered
    until E falls by at least 10⁻⁴η‖∇E‖² (Armijo, 1966). A row is finished if its next step would lower E by less than
    10⁻⁵ T.

    temperature: T (> 0).
    reach: maximum length of a step, in units of x (> 0). A small value keeps rows in their basin.
    steps: maximum number of steps.
    """
    x, live = x.clone(), torch.arange(len(x), device=x.device)
    with frozen(energy):
        e, grad = energy_and_grad(energy, x)
        at, at_e, at_grad = x, e, grad
        rate = 0.1 * reach / at_grad.flatten(1).norm(dim=1).clamp(min=1e-12)
        for step in range(1, steps + 1):
            norm = at_grad.flatten(1).norm(dim=1)
            rate = torch.minimum(rate, reach / norm.clamp(min=1e-30))
            new = at - per_chain(rate, at) * at_grad
            new_e, new_grad = energy_and_grad(energy, new)
            down = new_e <= at_e - 1e-4 * rate * norm.square()
            change = (new - at).flatten(1)
            bend = (change * (new_grad - at_grad).flatten(1)).sum(1)
            curved = torch.where(bend > 0, change.square().sum(1) / bend.clamp(min=1e-30), 4 * rate)
            rate = torch.where(down, curved, rate / 4)
            at, at_grad = select_chains(down, new, at), select_chains(down, new_grad, at_grad)
            at_e = torch.where(down, new_e, at_e)
            open_ = rate * at_grad.flatten(1).square().sum(1) > MIN_DECREASE * temperature
            if step % CHECK_EVERY == 0 or step == steps:
                x[live], e[live] = at, at_e
                live, at, at_e, at_grad, rate = live[open_], at[open_], at_e[open_], at_grad[open_], rate[open_]
                if not len(live):
                    break
    return x, e
