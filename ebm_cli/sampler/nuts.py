"""The no-U-turn sampler: Hamiltonian trajectories, many chains at once, each as long as it does not turn back."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import SMOOTH, energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Info, PhaseState, State, check_scales, kinetic, per_chain, select_chains, uniform_like

# A trajectory ends at a leaf whose log weight is this much below that of its start: the usual bound of Stan.
MAX_ENERGY_ERROR = 1000.0


class Subtree(NamedTuple):
    """What one doubling adds, one row per chain.

    x, v, energy, grad: its last leaf.
    chosen_x, chosen_energy, chosen_grad: the leaf that was drawn from it.
    log_weight: of all its leaves.
    whole: True if it contains neither a turn nor a divergence.
    accept: sum of its leaves' acceptances.
    leaves: their number.
    diverging: True if its last leaf diverged.
    """

    x: Float[Tensor, "n *event"]
    v: Float[Tensor, "n *event"]
    energy: Float[Tensor, " n"]
    grad: Float[Tensor, "n *event"]
    chosen_x: Float[Tensor, "n *event"]
    chosen_energy: Float[Tensor, " n"]
    chosen_grad: Float[Tensor, "n *event"]
    log_weight: Float[Tensor, " n"]
    whole: Bool[Tensor, " n"]
    accept: Float[Tensor, " n"]
    leaves: Float[Tensor, " n"]
    diverging: Bool[Tensor, " n"]

    def select(self, rows: Tensor) -> "Subtree":
        """Return the subtrees of these rows."""
        return Subtree(*(part[rows] for part in self))


@dataclass(frozen=True)
class NUTS:
    """v ~ N(0, T·I); a leapfrog trajectory is doubled in a random direction until it turns; one of its states is drawn.

    Hoffman and Gelman, 2014 (Journal of Machine Learning Research 15, 1593), with Betancourt's (2017, arXiv
    1701.02434, appendix A) draw of a state in proportion to exp(−H/T), H = E + ½‖v‖². A trajectory ends if
    (x⁺ − x⁻)·v± < 0 for it or for any of its aligned halves, quarters, …, or after 2^max_depth − 1 gradients. Exact:
    π ∝ exp(−E/T) is stationary, by reversibility of the tree. Chains share batches, and a chain that has turned takes
    no more gradients. The length of a trajectory depends on values, so a step waits for the device and is not compiled.
    The acceptance is the mean over the leaves; 0.8 is usual.

    step_size: ε, a time, in units of x over √energy (> 0).
    max_depth: maximum number of doublings (in [1, 15]).
    temperature: T (> 0).
    scales: see `Tunable`.
    """

    adjusted = True
    spaces = SMOOTH
    best_acceptance = 0.8

    step_size: float
    max_depth: int
    temperature: float
    scales: list[float] | None

    def __post_init__(self) -> None:
        check.positive("step_size", self.step_size)
        check.count("max_depth", self.max_depth)
        if self.max_depth > 15:
            raise check.InputError(f"max_depth must be <= 15 (32,767 gradients per step), got {self.max_depth}")
        check.positive("temperature", self.temperature)
        check_scales(self.scales)

    @property
    def passes(self) -> int:
        """Return the maximum number of successive evaluations of the energy in a step."""
        return 2**self.max_depth - 1

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> State:  # noqa: ARG002
        return State(x, *energy_and_grad(energy, x))

    def step(self, energy: nn.Module, state: State, rng: torch.Generator) -> tuple[State, Info]:
        v = self.temperature**0.5 * normal_like(state.x, rng)
        start = state.energy + kinetic(v)
        backward = forward = PhaseState(state.x, v, state.energy, state.grad)
        log_weight = torch.zeros_like(state.energy)
        accept, leaves = torch.zeros_like(log_weight), torch.zeros_like(log_weight)
        diverging = torch.zeros_like(start, dtype=torch.bool)
        rows = torch.arange(len(v), device=v.device)
        for depth in range(self.max_depth):
            ahead = torch.rand(len(rows), generator=rng, device=v.device) < 0.5
            tip = PhaseState(*(select_chains(ahead, f[rows], b[rows]) for f, b in zip(forward, backward, strict=True)))
            sign = torch.where(ahead, 1.0, -1.0).to(v.dtype)
            tree = self.subtree(energy, tip, sign, start[rows], 2**depth, rng)
            accept[rows] += tree.accept
            leaves[rows] += tree.leaves
            diverging[rows] |= tree.diverging
            # Biased toward the new half, which is farther from the chain's present state.
            odds = (tree.log_weight - log_weight[rows]).clamp(max=0).exp()
            accepted = tree.whole & (uniform_like(odds, rng) < odds)
            drawn = (tree.chosen_x, tree.chosen_energy, tree.chosen_grad)
            state = State(*(put(part, rows, accepted, new) for part, new in zip(state, drawn, strict=True)))
            log_weight[rows] = torch.logaddexp(log_weight[rows], tree.log_weight)
            end = (tree.x, tree.v, tree.energy, tree.grad)
            forward = PhaseState(*(put(part, rows, ahead, new) for part, new in zip(forward, end, strict=True)))
            backward = PhaseState(*(put(part, rows, ~ahead, new) for part, new in zip(backward, end, strict=True)))
            rows = rows[tree.whole & ~has_turned(backward.x[rows], backward.v[rows], forward.x[rows], forward.v[rows])]
            if not len(rows):
                break
        return state, Info(accept / leaves, diverging, leaves)

    def subtree(
        self,
        energy: nn.Module,
        tip: PhaseState,
        sign: Float[Tensor, " n"],
        start: Float[Tensor, " n"],
        size: int,
        rng: torch.Generator,
    ) -> Subtree:
        """Return `size` leaves after `tip`, forward or backward in time by `sign`.

        start: H at the start of each trajectory. Chains that turn or diverge leave the batch at once, and their results
        are stored.
        """
        T, ε = self.temperature, per_chain(self.step_size * sign, tip.x)
        zero, yes = torch.zeros_like(start), torch.ones_like(start, dtype=torch.bool)
        tree = Subtree(*tip, tip.x, tip.energy, tip.grad, zero - torch.inf, yes, zero, zero, ~yes)
        finished: Subtree | None = None
        rows = torch.arange(len(sign), device=sign.device)
        # First leaves of the aligned subtrees that are not finished yet, one per level.
        first: dict[int, tuple[Tensor, Tensor]] = {}
        for leaf in range(size):
            tree = add_leaf(energy, tree, ε, start, T, rng)
            for level in range(1, size.bit_length()):
                if leaf % 2**level == 0:
                    first[level] = (tree.x, tree.v)
                if (leaf + 1) % 2**level == 0:
                    x, v = first[level]
                    turned = has_turned(x, per_chain(sign, v) * v, tree.x, per_chain(sign, v) * tree.v)
                    tree = tree._replace(whole=tree.whole & ~turned)
            if leaf + 1 < size and not bool(tree.whole.all()):
                if finished is None:
                    finished = Subtree(*(part.clone() for part in tree))
                store(finished, rows, tree)
                alive = tree.whole.nonzero().squeeze(1)
                tree, rows = tree.select(alive), rows[alive]
                sign, start, ε = sign[alive], start[alive], ε[alive]
                first = {level: (x[alive], v[alive]) for level, (x, v) in first.items()}
                if not len(rows):
                    break
        if finished is None:
            return tree
        store(finished, rows, tree)
        return finished


def add_leaf(
    energy: nn.Module, tree: Subtree, ε: Tensor, start: Float[Tensor, " n"], T: float, rng: torch.Generator
) -> Subtree:
    """Return the tree with one more leaf, which is drawn in proportion to its weight exp(−(H − start)/T)."""
    new = leapfrog(energy, PhaseState(tree.x, tree.v, tree.energy, tree.grad), ε)
    log_leaf = (start - new.energy - kinetic(new.v)) / T
    finite = log_leaf > -MAX_ENERGY_ERROR
    log_leaf = torch.where(finite, log_leaf, -torch.inf)
    total = torch.logaddexp(tree.log_weight, log_leaf)
    drawn = finite & (uniform_like(total, rng) < (log_leaf - total).exp())
    return Subtree(
        *new,
        select_chains(drawn, new.x, tree.chosen_x),
        torch.where(drawn, new.energy, tree.chosen_energy),
        select_chains(drawn, new.grad, tree.chosen_grad),
        total,
        tree.whole & finite,
        tree.accept + log_leaf.clamp(max=0).exp(),
        tree.leaves + 1,
        ~finite,
    )


def store(into: Subtree, rows: Tensor, tree: Subtree) -> None:
    """Write the tree's rows to their places."""
    for whole, part in zip(into, tree, strict=True):
        whole[rows] = part


def leapfrog(energy: nn.Module, at: PhaseState, ε: Tensor) -> PhaseState:
    """v ← v − ε/2·∇E(x), x ← x + εv, v ← v − ε/2·∇E(x)."""
    v = at.v - 0.5 * ε * at.grad
    x = at.x + ε * v
    e, grad = energy_and_grad(energy, x)
    return PhaseState(x, v - 0.5 * ε * grad, e, grad)


def has_turned(
    x: Float[Tensor, "n *event"],
    v: Float[Tensor, "n *event"],
    y: Float[Tensor, "n *event"],
    w: Float[Tensor, "n *event"],
) -> Bool[Tensor, " n"]:
    """Return True if continuing a trajectory from (x, v) to (y, w) at either end brings its ends closer together."""
    along = (y - x).flatten(1)
    return ((along * v.flatten(1)).sum(1) < 0) | ((along * w.flatten(1)).sum(1) < 0)


def put(part: Tensor, rows: Tensor, where: Bool[Tensor, " m"], new: Tensor) -> Tensor:
    """Return `part` with `new` in those of `rows` where `where` is true."""
    if len(rows) == len(part):
        return select_chains(where, new, part)
    changed = part.clone()
    changed[rows] = select_chains(where, new, part[rows])
    return changed
