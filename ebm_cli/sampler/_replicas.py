"""The replicas of chains that exchange states: where they are, and which ends of the path their states have visited."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ebm_cli.path._annealing_path import PathStates
from ebm_cli.path._swap import Swap
from ebm_cli.sampler import State

# Values of `Replicas.last_end`; it is 0 for a state that has visited neither end.
FAR_END, MODEL = 1, 2


class ReplicaStates(NamedTuple):
    """Where the replicas of n chains continue.

    x: states of the K replicas of each chain, the model's replica first.
    odd: True if the next step is odd.
    """

    x: Float[Tensor, "n K *event"]
    odd: bool


def with_replica_count(x: Float[Tensor, "n K *event"], count: int) -> Float[Tensor, "n count *event"]:
    """Return states of this many replicas, each taken from the nearest fraction of the path."""
    K = x.shape[1]
    return x if count == K else x[:, [round(k * (K - 1) / (count - 1)) for k in range(count)]]


class Replicas(NamedTuple):
    """The states of K replicas of n chains: K·n rows, replica by replica, and the model's replica first.

    states: in the coordinates of the path, with the energies of the segment on which each replica tried its last swap.
    model: the states of the model's replica, which are the chains: x, E and ∇E.
    betas: β of each replica.
    pair_betas: β of each replica on the segment on which it swaps, in even and in odd steps; `betas` if the path has
        one segment.
    step_factors: factor of the kernel's step for each replica that the kernel moves; a replica that is drawn has none.
    partners: the partner of each replica in even and in odd steps; a replica without a partner is its own.
    odd: True if the next step is odd.
    accept: mean acceptance of each replica that the kernel moves, in the last step.
    swapped: sum over steps of the probability that replicas k and k + 1 of a chain swap.
    tried: number of steps in which they try it.
    last_end: the end of the path that each state has visited last: FAR_END, MODEL or 0.
    round_trips: number of states that have come from the far end to the model's replica of each chain.
    """

    states: PathStates
    model: State
    betas: Float[Tensor, " K"]
    pair_betas: Float[Tensor, "2 K"]
    step_factors: Float[Tensor, " moving"]
    partners: Int[Tensor, "2 K"]
    odd: Bool[Tensor, ""]
    accept: Float[Tensor, " moving"]
    swapped: Float[Tensor, "pairs n"]
    tried: Float[Tensor, " pairs"]
    last_end: Int[Tensor, " Kn"]
    round_trips: Int[Tensor, " n"]

    @property
    def x(self) -> Tensor:
        return self.model.x

    @property
    def energy(self) -> Tensor:
        return self.model.energy

    @property
    def grad(self) -> Tensor:
        return self.model.grad

    def with_zero_counts(self) -> "Replicas":
        """Return the same states with all counts at 0."""
        counts = {name: torch.zeros_like(getattr(self, name)) for name in ("swapped", "tried", "round_trips")}
        return self._replace(**counts)

    @property
    def home_betas(self) -> Float[Tensor, " K"]:
        """Return β of each replica on the segment on which the kernel moves it; an anchor is its upper end."""
        return self.pair_betas.amax(0)

    @property
    def next_betas(self) -> Float[Tensor, " K"]:
        """Return β of each replica on the segment on which it swaps in the next step."""
        return torch.where(self.odd, self.pair_betas[1], self.pair_betas[0])

    @property
    def last_betas(self) -> Float[Tensor, " K"]:
        """Return β of each replica on the segment on which it tried its last swap, to which `states` belong."""
        return torch.where(self.odd, self.pair_betas[0], self.pair_betas[1])

    def swap_rates(self) -> Float[Tensor, "pairs n"]:
        """Return the mean probability that replicas k and k + 1 of each chain swap, over the steps that try it."""
        return self.swapped / self.tried.clamp(min=1)[:, None]

    def min_swap_rate(self) -> Float[Tensor, ""]:
        """Return the smallest mean over chains of the swap rates of pairs that tried; 1 if none did."""
        return torch.where(self.tried > 0, self.swap_rates().mean(1), 1.0).amin()


def visited_ends(swap: Swap, last_end: Int[Tensor, " Kn"], n: int) -> tuple[Int[Tensor, " Kn"], Bool[Tensor, " n"]]:
    """Return the end that each state has visited last, after this step's swaps.

    Also return the chains whose model's replica received a state from the far end in this step.
    """
    last_end = swap.apply(last_end)
    arrived = last_end[:n] == FAR_END
    ends = torch.full_like(last_end[:n], MODEL), last_end[n:-n], torch.full_like(last_end[:n], FAR_END)
    return torch.cat(ends), arrived
