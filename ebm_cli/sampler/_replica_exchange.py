"""One step of replica exchange: a kernel moves the replicas of a path, and neighbors swap places."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli.path._annealing_path import AnnealingPath, PathStates
from ebm_cli.path._piecewise_path import JoinedEnergy, PiecewisePath
from ebm_cli.path._places import Layout, Place, blocks, layout_of, segment_members
from ebm_cli.path._swap import swap_partners, swap_replicas
from ebm_cli.sampler import CompilableKernel, EnergyState, Info, Sampler, State, per_chain, uniform_like
from ebm_cli.sampler._replicas import Replicas, ReplicaStates, visited_ends


@dataclass(frozen=True)
class ReplicaExchange:
    """The step of `Tempering` for one energy.

    The kernel moves every replica at its β, the last replica is drawn if it can be, and neighbors swap places.

    path: the densities.
    kernel: moves the replicas, at temperature 1.
    temperature: T of the model, by which U = E/T.
    has_draws: True if the last replica is drawn exactly in every step.
    """

    path: AnnealingPath | PiecewisePath
    kernel: Sampler
    temperature: float
    has_draws: bool

    def init(self, z: Float[Tensor, "n *d"], betas: list[float], step_factors: list[float]) -> Replicas:
        """Return replicas that all start at z."""
        layout, segments = self.layout(betas), self.path.segments
        # The first step is even, so that the states belong to an odd one.
        used = [place.segment for place in layout.pairs[1]]
        evaluated = {segment: segments[segment].evaluate(z) for segment in sorted(set(used))}
        states = PathStates(*(torch.cat(parts) for parts in zip(*(evaluated[each] for each in used), strict=True)))
        return self.replicas(states, betas, step_factors, odd=False)

    def resume(self, stored: ReplicaStates, betas: list[float], step_factors: list[float]) -> Replicas:
        """Return replicas that continue from stored states; their energies are those of the present model."""
        z = self.path.space.coordinates(stored.x.transpose(0, 1).flatten(0, 1))
        groups = blocks(self.layout(betas).pairs[0 if stored.odd else 1], lambda place: place.segment)
        parts = self.split(z, groups)
        states = [
            self.path.segments[place.segment].evaluate(rows) for (place, _), rows in zip(groups, parts, strict=True)
        ]
        return self.replicas(join_states(states), betas, step_factors, stored.odd)

    def all_states(self, replicas: Replicas) -> Float[Tensor, "n K *event"]:
        """Return x of all replicas of each chain."""
        return self.path.space.states(replicas.states.z).unflatten(0, (len(replicas.betas), -1)).transpose(0, 1)

    def replicas(self, states: PathStates, betas: list[float], step_factors: list[float], odd: bool) -> Replicas:
        """Return replicas at these states, replica by replica, with all counts at 0.

        odd: True if the next step is odd. The states belong to the segments of the step before.
        """
        K, z = len(betas), states.z
        n = len(z) // K
        zeros = torch.zeros(K * n, dtype=torch.int64, device=z.device)
        return Replicas(
            states=states,
            model=self.model_state(states.select(slice(n))),
            betas=z.new_tensor(betas),
            pair_betas=z.new_tensor([[place.beta for place in pairs] for pairs in self.layout(betas).pairs]),
            step_factors=z.new_tensor(step_factors),
            partners=torch.stack([swap_partners(K, odd, z.device) for odd in (False, True)]),
            odd=torch.full((), odd, dtype=torch.bool, device=z.device),
            accept=z.new_zeros(len(step_factors)),
            swapped=z.new_zeros(K - 1, n),
            tried=z.new_zeros(K - 1),
            last_end=zeros,
            round_trips=zeros[:n],
        )

    def layout(self, betas: list[float] | Float[Tensor, " K"]) -> Layout:
        """Return the places of replicas on the segments of the path."""
        count = len(self.path.segments)
        if isinstance(betas, Tensor):
            # On one segment their values do not matter, and are not read from the device.
            betas = [1.0] * len(betas) if count == 1 else betas.tolist()
        return layout_of(tuple(betas), count)

    def delta_u(self, replicas: Replicas) -> Float[Tensor, "rows n"]:
        """Return the lower minus the upper energy of each segment at the states of all its replicas, model first.

        A replica at an anchor between two models is on two segments. It has a row in each of them.
        """
        K, n = len(replicas.betas), len(replicas.model.energy)
        own = replicas.states.delta_u.view(K, n)
        if len(self.path.segments) == 1:
            return own
        pairs = self.layout(replicas.betas).pairs[0 if bool(replicas.odd) else 1]
        rows = []
        for segment, members, _ in segment_members(replicas.betas.tolist(), len(self.path.segments)):
            for k in range(members.start, members.stop):
                here = pairs[k].segment == segment
                rows.append(own[k] if here else self.states_on(replicas, k, pairs[k], segment).delta_u)
        return torch.stack(rows)

    def states_on(self, replicas: Replicas, k: int, place: Place, segment: int) -> PathStates:
        """Return the states of replica k, at an anchor, on the other segment of this anchor.

        place: on the segment to which its states belong.
        """
        n = len(replicas.model.energy)
        states = replicas.states.select(slice(k * n, (k + 1) * n))
        e, grad = states.energy_and_grad(place.beta)
        path = self.path.segments[segment]
        return path.from_base(states.z, e, grad) if place.beta == 1 else path.from_tempered(states.z, e, grad, 1.0)

    def next_pairs(self, replicas: Replicas) -> tuple[Place, ...]:
        """Return the places of replicas on the segments on which they swap in the next step."""
        even, odd = self.layout(replicas.betas).pairs
        return even if len(self.path.segments) == 1 or not bool(replicas.odd) else odd

    def model_state(self, states: PathStates) -> State:
        """Return states of the model's replica as x, E and ∇E."""
        space = self.path.space
        return State(space.states(states.z), self.temperature * states.u, space.model_gradient(states.grad))

    def step(self, replicas: Replicas, rng: torch.Generator) -> tuple[Replicas, Info]:
        """Move every chain once."""
        n, moving = len(replicas.model.energy), len(replicas.step_factors)
        # Other kernels, such as NUTS, evaluate subsets of the rows, to which a vector with one β per row does not fit.
        # They move one replica at a time.
        per_call = moving if isinstance(self.kernel, CompilableKernel) else 1
        moved, info = [], []
        for first in range(0, moving, per_call):
            which = slice(first, first + per_call)
            energy, state, lengths = self.kernel_states(replicas, which)
            state, step_info = self.kernel.step(energy, state, rng)
            moved.append(self.path_states(replicas, which, lengths, state))
            info.append(step_info)
        if self.has_draws:
            moved.append(self.path.draw_base(n, rng))
        states = join_states(moved)
        return self.swap_neighbors(replicas, states, join_infos(info), uniform_like(states.u, rng))

    def kernel_states(self, replicas: Replicas, which: slice) -> tuple[Any, State, Tensor]:
        """Return the energy and the states that the kernel moves, in units of each replica's step factor.

        Also return these factors, one per row.
        which: the replicas.
        """
        n = len(replicas.model.energy)
        states = replicas.states.select(slice(which.start * n, which.stop * n))
        last, home = per_row(replicas.last_betas[which], n), per_row(replicas.home_betas[which], n)
        s = per_chain(per_row(replicas.step_factors[which], n), states.z)
        e, grad = states.energy_and_grad(last)
        groups = blocks(self.layout(replicas.betas).homes[which], lambda place: (place.segment, place.is_inner_anchor))
        energy = self.kernel_energy(groups, home, s)
        return energy, State(states.z / s, e, s * grad), s

    def kernel_energy(self, groups: list[tuple[Place, int]], β: Float[Tensor, " rows"], s: Tensor) -> Any:
        """Return the energy of the rows of these groups of replicas."""
        paths = [
            self.path.segments[place.segment].without_base()
            if place.is_inner_anchor
            else self.path.segments[place.segment]
            for place, _ in groups
        ]
        if len(paths) == 1:
            return paths[0].energy_at(β, s)
        lengths = self.split(s, groups)
        split = zip(paths, self.split(β, groups), lengths, strict=True)
        return JoinedEnergy([path.energy_at(*rows) for path, *rows in split], [len(rows) for rows in lengths])

    def split(self, rows: Tensor, groups: list[tuple[Place, int]]) -> tuple[Tensor, ...]:
        """Return the rows of each group of replicas."""
        n = len(rows) // sum(count for _, count in groups)
        return rows.split([count * n for _, count in groups])

    def path_states(self, replicas: Replicas, which: slice, s: Tensor, state: State | EnergyState) -> PathStates:
        """Return states of the kernel in the coordinates of the path, on the segments of the next swap."""
        n = len(replicas.model.energy)
        β = per_row(replicas.next_betas[which], n)
        z = s * state.x
        if state.grad is None:
            return self.evaluated(replicas, which, z)
        e, grad = state.energy, state.grad / s
        groups = blocks(self.next_pairs(replicas)[which], lambda place: (place.segment, place.beta == 0))
        if len(groups) == 1 and groups[0][0].beta > 0:
            return self.path.segments[groups[0][0].segment].from_tempered(z, e, grad, β)
        found = []
        for (place, _), *rows in zip(groups, *(self.split(part, groups) for part in (z, e, grad, β)), strict=True):
            segment = self.path.segments[place.segment]
            found.append(segment.from_base(*rows[:3]) if place.beta == 0 else segment.from_tempered(*rows))
        return join_states(found)

    def evaluated(self, replicas: Replicas, which: slice, z: Float[Tensor, "rows *d"]) -> PathStates:
        """Return states that a kernel without gradients has moved, on the segments of the next swap."""
        groups = blocks(self.next_pairs(replicas)[which], lambda place: place.segment)
        parts = zip(groups, self.split(z, groups), strict=True)
        return join_states([self.path.segments[place.segment].evaluate(rows) for (place, _), rows in parts])

    def swap_neighbors(
        self, replicas: Replicas, moved: PathStates, info: Info, uniform: Float[Tensor, " Kn"]
    ) -> tuple[Replicas, Info]:
        """Swap the moved states of neighbors, update all counts, and return what the whole step reports."""
        K, n = len(replicas.betas), len(replicas.model.energy)
        partners = torch.where(replicas.odd, replicas.partners[1], replicas.partners[0])
        delta_u = moved.delta_u.view(K, n)
        β = replicas.next_betas.double()
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
        ), self.chain_info(replicas, info)

    def chain_info(self, replicas: Replicas, info: Info) -> Info:
        """Return what a step reports per chain: the proposals of the model's replica, and the cost of all replicas."""
        n, moving = len(replicas.model.energy), len(replicas.step_factors)
        each = self.layout(replicas.betas).evaluations()[:moving]
        if isinstance(info.gradients, int):
            gradients = info.gradients * sum(each)
        else:
            gradients = sum(row * cost for row, cost in zip(info.gradients.view(moving, n), each, strict=True))
        # Segments between two models need the other model at the moved states; the model is evaluated at a drawn state.
        others = sum(place.segment > 0 for place in self.next_pairs(replicas)[:moving])
        return Info(info.accept[:n], info.diverging[:n], gradients + others + int(self.has_draws))


def per_row(values: Float[Tensor, " k"], n: int) -> Float[Tensor, " rows"]:
    """Return the value of each row of k replicas, n rows each; one value for one replica, which fits any rows of it."""
    return values if len(values) == 1 else values.repeat_interleave(n)


def join_states(parts: list[PathStates]) -> PathStates:
    """Return the states of all groups of rows."""
    return parts[0] if len(parts) == 1 else PathStates(*(torch.cat(each) for each in zip(*parts, strict=True)))


def join_infos(info: list[Info]) -> Info:
    """Return the report of one step of all rows, given the reports of its groups of rows."""
    if len(info) == 1:
        return info[0]
    gradients = [torch.as_tensor(each.gradients).expand_as(each.accept) for each in info]
    return Info(
        torch.cat([each.accept for each in info]), torch.cat([each.diverging for each in info]), torch.cat(gradients)
    )
