"""One step of replica exchange: a kernel moves the replicas of a path, and neighbors swap places."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ebm_cli.path._annealing_path import AnnealingPath, Beta, PathStates
from ebm_cli.path._swap import Swap, swap_partners, swap_replicas
from ebm_cli.sampler import CompilableKernel, Info, Sampler, State, per_chain, uniform_like

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

    states: in the coordinates of the path.
    model: the states of the model's replica, which are the chains: x, E and ∇E.
    betas: β of each replica.
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

    def swap_rates(self) -> Float[Tensor, "pairs n"]:
        """Return the mean probability that replicas k and k + 1 of each chain swap, over the steps that try it."""
        return self.swapped / self.tried.clamp(min=1)[:, None]

    def min_swap_rate(self) -> Float[Tensor, ""]:
        """Return the smallest mean over chains of the swap rates of pairs that tried; 1 if none did."""
        return torch.where(self.tried > 0, self.swap_rates().mean(1), 1.0).amin()


@dataclass(frozen=True)
class ReplicaExchange:
    """The step of `Tempering` for one energy.

    The kernel moves every replica at its β, the last replica is drawn if it can be, and neighbors swap places.

    path: the densities.
    kernel: moves the replicas, at temperature 1.
    temperature: T of the model, by which U = E/T.
    has_draws: True if the last replica is drawn exactly in every step.
    """

    path: AnnealingPath
    kernel: Sampler
    temperature: float
    has_draws: bool

    def init(self, z: Float[Tensor, "n *d"], betas: list[float], step_factors: list[float]) -> Replicas:
        """Return replicas that all start at z."""
        states = PathStates(*(part.repeat(len(betas), *[1] * (part.dim() - 1)) for part in self.path.evaluate(z)))
        return self.replicas(states, betas, step_factors)

    def resume(self, stored: ReplicaStates, betas: list[float], step_factors: list[float]) -> Replicas:
        """Return replicas that continue from stored states; their energies are those of the present model."""
        z = self.path.space.coordinates(stored.x.transpose(0, 1).flatten(0, 1))
        replicas = self.replicas(self.path.evaluate(z), betas, step_factors)
        return replicas._replace(odd=torch.full_like(replicas.odd, stored.odd))

    def all_states(self, replicas: Replicas) -> Float[Tensor, "n K *event"]:
        """Return x of all replicas of each chain."""
        return self.path.space.states(replicas.states.z).unflatten(0, (len(replicas.betas), -1)).transpose(0, 1)

    def replicas(self, states: PathStates, betas: list[float], step_factors: list[float]) -> Replicas:
        """Return replicas at these states, replica by replica, in an even step and with all counts at 0."""
        K, z = len(betas), states.z
        n = len(z) // K
        zeros = torch.zeros(K * n, dtype=torch.int64, device=z.device)
        return Replicas(
            states=states,
            model=self.model_state(states.select(slice(n))),
            betas=z.new_tensor(betas),
            step_factors=z.new_tensor(step_factors),
            partners=torch.stack([swap_partners(K, odd, z.device) for odd in (False, True)]),
            odd=torch.zeros((), dtype=torch.bool, device=z.device),
            accept=z.new_zeros(len(step_factors)),
            swapped=z.new_zeros(K - 1, n),
            tried=z.new_zeros(K - 1),
            last_end=zeros,
            round_trips=zeros[:n],
        )

    def model_state(self, states: PathStates) -> State:
        """Return states of the model's replica as x, E and ∇E."""
        space = self.path.space
        return State(space.states(states.z), self.temperature * states.u, space.model_gradient(states.grad))

    def step(self, replicas: Replicas, rng: torch.Generator) -> tuple[Replicas, Info]:
        """Move every chain once."""
        n = len(replicas.model.energy)
        rows = len(replicas.step_factors) * n
        # Other kernels, such as NUTS, evaluate subsets of the rows, to which a vector with one β per row does not fit.
        # They move one replica at a time.
        rows_per_call = rows if isinstance(self.kernel, CompilableKernel) else n
        moved, info = [], []
        for first in range(0, rows, rows_per_call):
            energy, state, β = self.kernel_states(replicas, slice(first, first + rows_per_call))
            state, step_info = self.kernel.step(energy, state, rng)
            moved.append(self.path_states(energy.lengths, state, β))
            info.append(step_info)
        if self.has_draws:
            moved.append(self.path.draw_base(n, rng))
        states = PathStates(*(torch.cat(parts) for parts in zip(*moved, strict=True)))
        return self.swap_neighbors(replicas, states, join_infos(info), uniform_like(states.u, rng))

    def kernel_states(self, replicas: Replicas, rows: slice) -> tuple[Any, State, Beta]:
        """Return the energy and the states that the kernel moves, in units of each replica's step factor, and β."""
        n = len(replicas.model.energy)
        states = replicas.states.select(rows)
        β, s = replicas.betas.repeat_interleave(n)[rows], replicas.step_factors.repeat_interleave(n)[rows]
        s = per_chain(s, states.z)
        # Rows of one replica have one β, which fits any subset of them.
        if len(states.u) == n:
            β, s = β[:1], s[:1]
        e, grad = states.energy_and_grad(β)
        return self.path.energy_at(β, s), State(states.z / s, e, s * grad), β

    def path_states(self, s: Tensor, state: State, β: Beta) -> PathStates:
        """Return states of the kernel in the coordinates of the path."""
        return self.path.from_tempered(s * state.x, state.energy, state.grad / s, β)

    def swap_neighbors(
        self, replicas: Replicas, moved: PathStates, info: Info, uniform: Float[Tensor, " Kn"]
    ) -> tuple[Replicas, Info]:
        """Swap the moved states of neighbors, update all counts, and return what the whole step reports."""
        K, n = len(replicas.betas), len(replicas.model.energy)
        partners = torch.where(replicas.odd, replicas.partners[1], replicas.partners[0])
        delta_u = moved.delta_u.view(K, n)
        β = replicas.betas.double()
        log_ratio = (β - β[partners])[:, None] * (delta_u[partners] - delta_u)
        # −∞ − (−∞) is NaN. The order of two states of density 0 does not matter.
        swap = swap_replicas(log_ratio.nan_to_num(nan=0.0), uniform.view(K, n), partners)
        states = PathStates(*(swap.apply(part) for part in moved))
        last_end, arrived = visited_ends(swap, replicas.last_end, n)
        # Each pair is counted once, at the lower of its two replicas.
        paired = partners > torch.arange(K, device=partners.device)
        return replicas._replace(
            states=states,
            model=self.model_state(states.select(slice(n))),
            odd=~replicas.odd,
            accept=info.accept.view(-1, n).mean(1),
            swapped=replicas.swapped + torch.where(paired[:, None], swap.probability, 0.0).to(replicas.swapped)[:-1],
            tried=replicas.tried + paired[:-1],
            last_end=last_end,
            round_trips=replicas.round_trips + arrived,
        ), self.chain_info(info, n)

    def chain_info(self, info: Info, n: int) -> Info:
        """Return what a step reports per chain: the proposals of the model's replica, and the cost of all replicas."""
        per_row, moving = info.gradients, len(info.accept) // n
        gradients = per_row * moving if isinstance(per_row, int) else per_row.view(moving, n).sum(0)
        # The model is evaluated once at a drawn state.
        return Info(info.accept[:n], info.diverging[:n], gradients + int(self.has_draws))


def join_infos(info: list[Info]) -> Info:
    """Return the report of one step of all rows, given the reports of its groups of rows."""
    if len(info) == 1:
        return info[0]
    gradients = [torch.as_tensor(each.gradients).expand_as(each.accept) for each in info]
    return Info(
        torch.cat([each.accept for each in info]), torch.cat([each.diverging for each in info]), torch.cat(gradients)
    )


def visited_ends(swap: Swap, last_end: Int[Tensor, " Kn"], n: int) -> tuple[Int[Tensor, " Kn"], Bool[Tensor, " n"]]:
    """Return the end that each state has visited last, after this step's swaps.

    Also return the chains whose model's replica received a state from the far end in this step.
    """
    last_end = swap.apply(last_end)
    arrived = last_end[:n] == FAR_END
    ends = torch.full_like(last_end[:n], MODEL), last_end[n:-n], torch.full_like(last_end[:n], FAR_END)
    return torch.cat(ends), arrived
