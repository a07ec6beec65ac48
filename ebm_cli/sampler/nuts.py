"""The no-U-turn sampler: Hamiltonian flights, many chains at once, that each end where they begin to turn back."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.energy import energy_and_grad
from ebm_cli.rng import normal_like
from ebm_cli.sampler import Info, Moving, State, check_scales, chosen, kinetic, per_chain, uniform_like

# A leaf whose log-weight falls this far below the start's ends its flight: the usual bound of Stan.
DIVERGED = 1000.0


class Subtree(NamedTuple):
    """What one doubling adds, a row a chain.

    x, v, energy, grad: its last leaf. chosen_x, chosen_energy, chosen_grad: the leaf that was drawn from it.
    log_weight: of all its leaves. whole: neither a turn nor a divergence inside. accept: sum of its leaves'
    acceptances. leaves: how many. diverging: whether its last leaf was.
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

    def only(self, rows: Tensor) -> "Subtree":
        """These rows alone."""
        return Subtree(*(part[rows] for part in self))


@dataclass(frozen=True)
class NUTS:
    """v ~ N(0, T·I); leapfrog flights doubled forth or back at random until they turn; one of their states is taken.

    Hoffman and Gelman, 2014 (Journal of Machine Learning Research 15, 1593), with Betancourt's (2017, arXiv
    1701.02434, appendix A) draw of a state in proportion to exp(−H/T), H = E + ½‖v‖². A flight ends where
    (x⁺ − x⁻)·v± < 0 for it or for any of its aligned halves, quarters, …, or after 2^max_depth − 1 gradients. Exact:
    π ∝ exp(−E/T) is stationary, by reversibility of the tree. Chains share batches, and one that has turned takes no
    more gradients. How far to fly depends on values, so a step waits for the device, and it is not compiled.

    step_size: ε > 0, a time: in units of x over √energy. max_depth: in [1, 15]. temperature: T > 0. scales: see
    `Tunable`. The acceptance is the mean over the leaves; 0.8 is usual.
    """

    adjusted = True
    best_acceptance = 0.8

    step_size: float
    max_depth: int
    temperature: float
    scales: list[float] | None

    def __post_init__(self) -> None:
        check.positive("step_size", self.step_size)
        check.count("max_depth", self.max_depth)
        if self.max_depth > 15:
            raise check.InputError(f"max_depth must be <= 15 (32,767 gradients a step), got {self.max_depth}")
        check.positive("temperature", self.temperature)
        check_scales(self.scales)

    @property
    def passes(self) -> int:
        """Evaluations of the energy that follow one another in a step, at most."""
        return 2**self.max_depth - 1

    def init(self, energy: nn.Module, x: Float[Tensor, "n *event"], rng: torch.Generator) -> State:  # noqa: ARG002
        return State(x, *energy_and_grad(energy, x))

    def step(self, energy: nn.Module, state: State, rng: torch.Generator) -> tuple[State, Info]:
        v = self.temperature**0.5 * normal_like(state.x, rng)
        start = state.energy + kinetic(v)
        back = forth = Moving(state.x, v, state.energy, state.grad)
        log_weight = torch.zeros_like(state.energy)
        accept, leaves = torch.zeros_like(log_weight), torch.zeros_like(log_weight)
        diverging = torch.zeros_like(start, dtype=torch.bool)
        rows = torch.arange(len(v), device=v.device)
        for depth in range(self.max_depth):
            forward = torch.rand(len(rows), generator=rng, device=v.device) < 0.5
            tip = Moving(*(chosen(forward, f[rows], b[rows]) for f, b in zip(forth, back, strict=True)))
            sign = torch.where(forward, 1.0, -1.0).to(v.dtype)
            tree = self.subtree(energy, tip, sign, start[rows], 2**depth, rng)
            accept[rows] += tree.accept
            leaves[rows] += tree.leaves
            diverging[rows] |= tree.diverging
            # Biased towards the new half, which lies farther from where the chain stands.
            odds = (tree.log_weight - log_weight[rows]).clamp(max=0).exp()
            taken = tree.whole & (uniform_like(odds, rng) < odds)
            drawn = (tree.chosen_x, tree.chosen_energy, tree.chosen_grad)
            state = State(*(put(part, rows, taken, new) for part, new in zip(state, drawn, strict=True)))
            log_weight[rows] = torch.logaddexp(log_weight[rows], tree.log_weight)
            end = (tree.x, tree.v, tree.energy, tree.grad)
            forth = Moving(*(put(part, rows, forward, new) for part, new in zip(forth, end, strict=True)))
            back = Moving(*(put(part, rows, ~forward, new) for part, new in zip(back, end, strict=True)))
            rows = rows[tree.whole & ~turns(back.x[rows], back.v[rows], forth.x[rows], forth.v[rows])]
            if not len(rows):
                break
        return state, Info(accept / leaves, diverging, leaves)

    def subtree(
        self,
        energy: nn.Module,
        tip: Moving,
        sign: Float[Tensor, " n"],
        start: Float[Tensor, " n"],
        size: int,
        rng: torch.Generator,
    ) -> Subtree:
        """`size` leaves on from `tip`, forth or back in time by `sign`; start: H where each flight began.

        Chains that turn or diverge leave the batch at once, their results put aside.
        """
        T, ε = self.temperature, per_chain(self.step_size * sign, tip.x)
        zero, yes = torch.zeros_like(start), torch.ones_like(start, dtype=torch.bool)
        tree = Subtree(*tip, tip.x, tip.energy, tip.grad, zero - torch.inf, yes, zero, zero, ~yes)
        aside: Subtree | None = None
        rows = torch.arange(len(sign), device=sign.device)
        # First leaves of the aligned subtrees that are not finished yet, one a level.
        first: dict[int, tuple[Tensor, Tensor]] = {}
        for leaf in range(size):
            tree = grown(energy, tree, ε, start, T, rng)
            for level in range(1, size.bit_length()):
                if leaf % 2**level == 0:
                    first[level] = (tree.x, tree.v)
                if (leaf + 1) % 2**level == 0:
                    x, v = first[level]
                    turned = turns(x, per_chain(sign, v) * v, tree.x, per_chain(sign, v) * tree.v)
                    tree = tree._replace(whole=tree.whole & ~turned)
            if leaf + 1 < size and not bool(tree.whole.all()):
                if aside is None:
                    aside = Subtree(*(part.clone() for part in tree))
                set_aside(aside, rows, tree)
                alive = tree.whole.nonzero().squeeze(1)
                tree, rows = tree.only(alive), rows[alive]
                sign, start, ε = sign[alive], start[alive], ε[alive]
                first = {level: (x[alive], v[alive]) for level, (x, v) in first.items()}
                if not len(rows):
                    break
        if aside is None:
            return tree
        set_aside(aside, rows, tree)
        return aside


def grown(
    energy: nn.Module, tree: Subtree, ε: Tensor, start: Float[Tensor, " n"], T: float, rng: torch.Generator
) -> Subtree:
    """The tree with one leaf more, which becomes the drawn one in proportion to its weight exp(−(H − start)/T)."""
    new = leapfrog(energy, Moving(tree.x, tree.v, tree.energy, tree.grad), ε)
    log_leaf = (start - new.energy - kinetic(new.v)) / T
    sound = log_leaf > -DIVERGED
    log_leaf = torch.where(sound, log_leaf, -torch.inf)
    total = torch.logaddexp(tree.log_weight, log_leaf)
    taken = sound & (uniform_like(total, rng) < (log_leaf - total).exp())
    return Subtree(
        *new,
        chosen(taken, new.x, tree.chosen_x),
        torch.where(taken, new.energy, tree.chosen_energy),
        chosen(taken, new.grad, tree.chosen_grad),
        total,
        tree.whole & sound,
        tree.accept + log_leaf.clamp(max=0).exp(),
        tree.leaves + 1,
        ~sound,
    )


def set_aside(into: Subtree, rows: Tensor, tree: Subtree) -> None:
    """Write the tree's rows to where they belong."""
    for whole, part in zip(into, tree, strict=True):
        whole[rows] = part


def leapfrog(energy: nn.Module, at: Moving, ε: Tensor) -> Moving:
    """v ← v − ε/2·∇E(x), x ← x + εv, v ← v − ε/2·∇E(x)."""
    v = at.v - 0.5 * ε * at.grad
    x = at.x + ε * v
    e, grad = energy_and_grad(energy, x)
    return Moving(x, v - 0.5 * ε * grad, e, grad)


def turns(
    x: Float[Tensor, "n *event"],
    v: Float[Tensor, "n *event"],
    y: Float[Tensor, "n *event"],
    w: Float[Tensor, "n *event"],
) -> Bool[Tensor, " n"]:
    """Whether a flight from (x, v) to (y, w) comes nearer to its other end by going on at either."""
    along = (y - x).flatten(1)
    return ((along * v.flatten(1)).sum(1) < 0) | ((along * w.flatten(1)).sum(1) < 0)


def put(part: Tensor, rows: Tensor, where: Bool[Tensor, " m"], new: Tensor) -> Tensor:
    """`part` with `new` in those of `rows` that `where` names."""
    if len(rows) == len(part):
        return chosen(where, new, part)
    changed = part.clone()
    changed[rows] = chosen(where, new, part[rows])
    return changed
