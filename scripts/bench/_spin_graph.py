"""Discrete models as spins with fields and couplings: the form that thrml and dwave-samplers take."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, Int8
from torch import Tensor

from ebm_cli.energy.ising import Ising
from ebm_cli.energy.rbm import RBM


@dataclass(frozen=True)
class SpinGraph:
    """p(s) ∝ exp(β [Σᵢ fᵢsᵢ + Σ_(i,j) Jᵢⱼ sᵢsⱼ]), s = ±1.

    fields: fᵢ.
    pairs: sites (i, j) of each coupling.
    couplings: Jᵢⱼ of each pair.
    blocks: sites in groups, in the order in which a sweep draws them. Sites of a group are not coupled.
    beta: β.
    to_spins: maps the states of our energy to spins. Sites that our energy sums over get +1.
    from_spins: maps spins to states of our energy.
    """

    fields: Float[np.ndarray, " sites"]
    pairs: Int[np.ndarray, "pairs 2"]
    couplings: Float[np.ndarray, " pairs"]
    blocks: list[Int[np.ndarray, " _"]]
    beta: float
    to_spins: Callable[[Tensor], Int8[np.ndarray, "n sites"]]
    from_spins: Callable[[Int8[np.ndarray, "n sites"]], Tensor]


def of_lattice(energy: Ising, temperature: float) -> SpinGraph:
    """Return the graph of spins with one coupling and without a field; its blocks are the colors of the lattice."""
    pairs, size = energy.bonds().numpy(), int(np.prod(energy.event))
    return SpinGraph(
        fields=np.zeros(size),
        pairs=pairs,
        couplings=np.full(len(pairs), float(energy.coupling)),
        blocks=[torch.nonzero(color.flatten())[:, 0].numpy() for color in energy.sublattices()],
        beta=1 / temperature,
        to_spins=lambda x: x.flatten(1).to(torch.int8).numpy(),
        from_spins=lambda s: torch.from_numpy(s).float().view(-1, *energy.event),
    )


def of_machine(energy: RBM) -> SpinGraph:
    """Return the graph of both layers at T = 1, hidden units first, which a sweep draws first.

    With v = (1 + s)/2 and h = (1 + t)/2, aᵀv + bᵀh + vᵀWh has the couplings W/4 and the fields a/2 + ΣⱼWᵢⱼ/4 of v and
    b/2 + ΣᵢWᵢⱼ/4 of h. Logits at zeros are a and b without the offsets of a centered machine.
    """
    W = energy.W.detach().double()
    visible, hidden = W.shape
    a = energy.visible_logits(energy.W.new_zeros(1, hidden)).detach().double().flatten()
    b = energy.hidden_logits(energy.W.new_zeros(1, visible)).detach().double().flatten()
    j, i = np.meshgrid(np.arange(hidden), hidden + np.arange(visible), indexing="ij")
    return SpinGraph(
        fields=torch.cat([b / 2 + W.sum(0) / 4, a / 2 + W.sum(1) / 4]).numpy(),
        pairs=np.stack([j.ravel(), i.ravel()], 1),
        couplings=(W.T / 4).flatten().numpy(),
        blocks=[np.arange(hidden), hidden + np.arange(visible)],
        beta=1.0,
        to_spins=lambda x: torch.cat([torch.ones(len(x), hidden), 2 * x.flatten(1) - 1], 1).to(torch.int8).numpy(),
        from_spins=lambda s: (torch.from_numpy(s[:, hidden:]).float() + 1).div(2).view(-1, *energy.event),
    )
