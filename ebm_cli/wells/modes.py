"""Wells of an energy: where descent ends, which ends are one mode, and the Gaussian that fits a minimum."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from ebm_cli.energy import device_of, energy_and_grad, frozen
from ebm_cli.sampler import chosen, per_chain

STEPS = 400
FALL = 1e-5
NEAR = 0.02
NEIGHBOURS = 8
POINTS = 15
CHUNK = 16384


@dataclass(frozen=True)
class Modes:
    """Minima of an energy, lowest first, sorted into modes; modes are numbered by their lowest minimum.

    minima: (m, *event). energy: E there. mode: the number, from 0, of the mode that each minimum belongs to.
    """

    minima: Float[Tensor, "m *event"]
    energy: Float[Tensor, " m"]
    mode: Int[np.ndarray, " m"]

    def __len__(self) -> int:
        return int(self.mode.max()) + 1

    @property
    def lowest(self) -> Float[Tensor, "k *event"]:
        """The lowest minimum of each mode."""
        _, first = np.unique(self.mode, return_index=True)
        return self.minima[first.tolist()]

    def of(self, ends: Float[Tensor, "n *event"]) -> Int[np.ndarray, " n"]:
        """The mode of states where descent has ended: that of the nearest minimum."""
        return self.mode[distances(ends, self.minima).argmin(1).cpu().numpy()]

    def reached(
        self, energy: nn.Module, x: Float[Tensor, "n *event"], temperature: float, reach: float
    ) -> Int[np.ndarray, " n"]:
        """The mode that descent from each state ends in."""
        return self.of(descend(energy, x, temperature, reach)[0])


def shares_of(mode: np.ndarray, count: int) -> Float[np.ndarray, "chain k"]:
    """Each chain's share of draws in each of `count` modes, from the mode of each (chain, draw)."""
    return np.stack([(mode == k).mean(1) for k in range(count)], 1)


def states_of(energy: nn.Module, x: np.ndarray) -> Float[Tensor, "n *event"]:
    """Rows as the energy takes them: of its type, on its device."""
    tensor = next(energy.parameters(), next(energy.buffers(), None))
    dtype = torch.get_default_dtype() if tensor is None else tensor.dtype
    return torch.as_tensor(np.ascontiguousarray(x), dtype=dtype, device=device_of(energy))


def values(energy: nn.Module, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """E of many states, in parts that fit the memory."""
    with frozen(energy), torch.no_grad():
        return torch.cat([energy(part) for part in x.split(CHUNK)])


def distances(x: Float[Tensor, "n *event"], y: Float[Tensor, "m *event"]) -> Float[Tensor, "n m"]:
    """‖xᵢ − yⱼ‖."""
    return torch.cdist(x.flatten(1), y.flatten(1), compute_mode="donot_use_mm_for_euclid_dist")


def spread_of(x: Float[Tensor, "n *event"]) -> float:
    """√(mean over rows of ‖x − mean‖²); 1 for rows that all coincide."""
    spread = float((x - x.mean(0)).flatten(1).square().sum(1).mean().sqrt())
    return spread if spread > 0 else 1.0


def descend(
    energy: nn.Module, x: Float[Tensor, "n *event"], temperature: float, reach: float, steps: int = STEPS
) -> tuple[Float[Tensor, "n *event"], Float[Tensor, " n"]]:
    """Where steepest descent from each row ends, and E there: x' = x − η∇E, E(x') ≤ E(x) at every step.

    η is a row's own: Barzilai and Borwein, 1988 (IMA J. Numer. Anal. 8, 141), eq. 5, ‖Δx‖²/Δx·Δ∇E, quartered until
    the fall is at least 10⁻⁴η‖∇E‖² (Armijo, 1966). No step is longer than `reach`, so that rows stay in their basin. A
    row is done once its next step would win less than 10⁻⁵ T.

    temperature: T > 0. reach: > 0, in units of x. steps: at most.
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
            at, at_grad = chosen(down, new, at), chosen(down, new_grad, at_grad)
            at_e = torch.where(down, new_e, at_e)
            open_ = rate * at_grad.flatten(1).square().sum(1) > FALL * temperature
            # Looking costs more than a few needless steps, so rows that are done are set aside now and then.
            if step % 8 == 0 or step == steps:
                x[live], e[live] = at, at_e
                live, at, at_e, at_grad, rate = live[open_], at[open_], at_e[open_], at_grad[open_], rate[open_]
                if not len(live):
                    break
    return x, e


def find_modes(
    energy: nn.Module, x: Float[Tensor, "n *event"], temperature: float, barrier: float, reach: float
) -> tuple[Modes, Int[np.ndarray, " n"]]:
    """The modes that descent from the rows ends in, and each row's."""
    ends, e = descend(energy, x, temperature, reach)
    modes = merged(energy, ends, e, temperature, barrier, NEAR * spread_of(x))
    return modes, modes.of(ends)


def merged(
    energy: nn.Module,
    ends: Float[Tensor, "n *event"],
    e: Float[Tensor, " n"],
    temperature: float,
    barrier: float,
    near: float,
) -> Modes:
    """Ends of descents sorted into modes: one minimum where they lie within `near`, one mode where little is between.

    Two minima are joined when E along the straight line between them, less E of the higher one, stays below barrier·T;
    modes are what such joints connect. A minimum is compared with its 8 nearest. A line overstates the barrier of
    a bent valley, which is joined from minimum to minimum along it.
    """
    order = torch.argsort(e)
    ends, e = ends[order], e[order]
    first = leaders(ends, near)
    minima, energies = ends[first], e[first]
    count = len(minima)
    if count == 1:
        return Modes(minima, energies, np.zeros(1, dtype=np.int64))
    nearest = distances(minima, minima).argsort(1)[:, 1 : NEIGHBOURS + 1]
    i = torch.arange(count, device=ends.device).repeat_interleave(nearest.shape[1])
    j = nearest.flatten()
    low = barriers(energy, minima[i], minima[j]) < barrier * temperature
    i, j = i[low].cpu().numpy(), j[low].cpu().numpy()
    joints = coo_array((np.ones(len(i)), (i, j)), shape=(count, count))
    _, group = connected_components(joints, directed=False)
    return Modes(minima, energies, by_appearance(np.asarray(group)))


def leaders(x: Float[Tensor, "n *event"], near: float) -> list[int]:
    """Rows none of which is within `near` of an earlier one, so that every row is within `near` of one of them."""
    found, left = [], torch.arange(len(x), device=x.device)
    while len(left):
        head = int(left[0])
        found.append(head)
        left = left[distances(x[left], x[head : head + 1])[:, 0] > near]
    return found


def by_appearance(group: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
    """The same groups, numbered in the order in which they first appear."""
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def barriers(energy: nn.Module, a: Float[Tensor, "n *event"], b: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
    """max E on the straight line between aᵢ and bᵢ less the larger of E(aᵢ), E(bᵢ), at 17 points."""
    t = torch.linspace(0, 1, POINTS + 2, dtype=a.dtype, device=a.device).view(-1, *[1] * a.dim())
    line = a + t * (b - a)
    e = values(energy, line.flatten(0, 1)).view(POINTS + 2, -1)
    return e.max(0).values - torch.maximum(e[0], e[-1])


def hessians(energy: nn.Module, x: Float[Tensor, "n *event"]) -> Float[Tensor, "n d d"]:
    """∂²E/∂x∂x at each row, exact by autograd, d backward passes; in double precision."""
    with frozen(energy), torch.enable_grad():
        x = x.detach().requires_grad_(True)
        (grad,) = torch.autograd.grad(energy(x).sum(), x, create_graph=True)
        flat = grad.flatten(1)
        n, d = flat.shape
        if not flat.requires_grad:
            return torch.zeros(n, d, d, dtype=torch.float64, device=x.device)
        rows = [torch.autograd.grad(flat[:, i].sum(), x, retain_graph=True, allow_unused=True)[0] for i in range(d)]
    full = torch.stack([torch.zeros_like(flat) if row is None else row.flatten(1) for row in rows], 1).double()
    return (full + full.mT) / 2


def laplace_log_mass(
    e: Float[Tensor, " m"], hessian: Float[Tensor, "m d d"], temperature: float
) -> Float[Tensor, " m"]:
    """−E/T + d/2·log(2πT) − ½ log det H: log ∫ exp(−E/T) over a well, E replaced by its second-order expansion.

    Exact for a quadratic well, with a relative error that falls as T for a smooth one (Laplace, 1774). H must be
    positive definite.
    """
    d, T = hessian.shape[1], temperature
    log_det = torch.linalg.cholesky(hessian).diagonal(dim1=1, dim2=2).log().sum(1) * 2
    return -e.double() / T + d / 2 * math.log(2 * math.pi * T) - 0.5 * log_det
