"""Cells: boxes that divide space. Two rules that share no node integrate each; cells in which they differ are split."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ebm_cli.path._coordinates import MAX_STATES_PER_CALL, WhitenedEnergy

# Lobatto's rule of 4 nodes is nested in Kronrod's of 7 (Gander and Gautschi, 2000); Gauss's of 6 shares none of them.
LOBATTO_KRONROD = (-1.0, -math.sqrt(2 / 3), -math.sqrt(1 / 5), 0.0, math.sqrt(1 / 5), math.sqrt(2 / 3), 1.0)
KRONROD_WEIGHTS = tuple(w / 2940 for w in (77, 432, 625, 672, 625, 432, 77))
LOBATTO_WEIGHTS = tuple(w / 12 for w in (1, 0, 5, 0, 5, 0, 1))
GAUSS, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(6)
# Ratio of the orders of Kronrod's and Lobatto's rules, h^10 and h^6: the second's error predicts the first's.
ORDERS = 10 / 6
# Fraction of the total error in the cells that one round splits.
SPLIT_FRACTION = 0.9
# Differences of the two rules up to this multiple of the estimated rounding error are attributed to rounding.
MAX_ROUNDING_RATIO = 2.0
FIELDS = ("center", "half", "log_value", "log_error", "noise", "axis")


@dataclass(frozen=True)
class Rules:
    """Nodes in [−1, 1]^d and weights that sum to 1 in d dimensions.

    nodes: of both rules, Kronrod's first.
    kronrod, gauss: weights of the rules.
    coarse: weights of Kronrod's rule with Lobatto's along one axis, for each axis.
    """

    nodes: Float[Tensor, "n d"]
    kronrod: Float[Tensor, " k"]
    gauss: Float[Tensor, " g"]
    coarse: Float[Tensor, "k d"]

    @staticmethod
    def in_dimensions(d: int) -> "Rules":
        """Return the product rules in d dimensions."""
        kronrod, lobatto = np.array(KRONROD_WEIGHTS), np.array(LOBATTO_WEIGHTS)
        coarse = [_product([lobatto if a == axis else kronrod for a in range(d)]) for axis in range(d)]
        nodes = [*itertools.product(LOBATTO_KRONROD, repeat=d), *itertools.product(GAUSS.tolist(), repeat=d)]
        return Rules(
            torch.tensor(nodes, dtype=torch.float64),
            _product([kronrod] * d),
            _product([GAUSS_WEIGHTS / 2] * d),
            torch.stack(coarse, 1),
        )


def _product(weights: list[np.ndarray]) -> Float[Tensor, " n"]:
    found = np.ones(1)
    for each in weights:
        found = np.multiply.outer(found, each).reshape(-1)
    return torch.from_numpy(found)


@dataclass
class Cells:
    """Boxes with the logarithms of their integrals of exp(−U) and of the errors of these integrals.

    The value of a cell is the mean of both rules. Its error is their difference or, if larger, the error that Lobatto's
    rule predicts, because errors along two axes may cancel. If f jumps once along an axis, the error is at most 1.3
    times the difference, because the nodes of both rules alternate.

    noise: nats by which rounding may change a cell's log value. Moving states by δ changes an integral by at most δ
        times the total variation of f, which is taken to be twice its range; rounding of E/T is added.
    axis: the axis along which Lobatto's rule changes the value most.
    n_points: number of evaluations made.
    """

    density: WhitenedEnergy
    rules: Rules
    center: Float[Tensor, "n d"]
    half: Float[Tensor, "n d"]
    log_value: Float[Tensor, " n"]
    log_error: Float[Tensor, " n"]
    noise: Float[Tensor, " n"]
    axis: Int[Tensor, " n"]
    n_points: int = 0

    @staticmethod
    def empty(density: WhitenedEnergy, d: int) -> "Cells":
        """Return no cells."""
        none, rules = torch.zeros(0, dtype=torch.float64), Rules.in_dimensions(d)
        return Cells(density, rules, none.view(0, d), none.view(0, d), none, none, none, none.long())

    def __len__(self) -> int:
        return len(self.center)

    @property
    def points_per_cell(self) -> int:
        """Return the number of evaluations per cell."""
        return len(self.rules.nodes)

    @property
    def log_total(self) -> float:
        """Return the log of the integral over all cells."""
        return float(self.log_value.logsumexp(0)) if len(self) else -math.inf

    def add(self, center: Float[Tensor, "n d"], half: Float[Tensor, "n d"]) -> None:
        """Add boxes and integrate over them."""
        per_call = max(1, MAX_STATES_PER_CALL // self.points_per_cell)
        for c, h in zip(center.split(per_call), half.split(per_call), strict=True):
            self._append((c, h, *self._evaluate(c, h)))

    def merge(self, others: "Cells") -> None:
        """Add cells that are evaluated already."""
        self._append(tuple(getattr(others, name) for name in FIELDS))
        self.n_points += others.n_points

    def _append(self, values: tuple[Tensor, ...]) -> None:
        for name, value in zip(FIELDS, values, strict=True):
            setattr(self, name, torch.cat([getattr(self, name), value]))

    def _evaluate(self, center: Tensor, half: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        n, d = center.shape
        rules = self.rules
        z = center[:, None] + half[:, None] * rules.nodes
        log_f = self.density.log_density(z.view(-1, d)).view(n, -1)
        self.n_points += log_f.numel()
        top = log_f.amax(1)
        some = torch.isfinite(top)
        f = torch.where(some[:, None], (log_f - top[:, None]).exp(), 0.0)
        k = len(rules.kronrod)
        fine, other = f[:, :k] @ rules.kronrod, f[:, k:] @ rules.gauss
        change = (f[:, :k] @ rules.coarse - fine[:, None]).abs()
        log_volume = (2 * half).log().sum(1)
        log_value = ((fine + other) / 2).log() + top + log_volume
        expected = fine * (change.sum(1) / fine.clamp(min=1e-300)) ** ORDERS
        log_error = torch.maximum((fine - other).abs(), expected).log() + top + log_volume
        lowest = torch.where(torch.isfinite(log_f), log_f, -math.inf).amin(1)
        varies = 1 - (lowest - top).exp()
        moved = (self.density.position_error(center) / half).sum(1)
        noise = varies * moved * (top + log_volume - log_value).exp() + self.density.unit_roundoff * top.abs()
        noise = torch.where(some, noise, 0.0)
        nothing = torch.tensor(-math.inf, dtype=torch.float64)
        # If no axis stands out, the longest one is split.
        axis = (change + 1e-12 * half / half.amax(1, keepdim=True)).argmax(1)
        return torch.where(some, log_value, nothing), torch.where(some, log_error, nothing), noise, axis

    def replace(self, gone: Int[Tensor, " m"], center: Float[Tensor, "n d"], half: Float[Tensor, "n d"]) -> None:
        """Replace these cells by boxes that fill the same space."""
        kept = torch.ones(len(self), dtype=torch.bool)
        kept[gone] = False
        for name in FIELDS:
            setattr(self, name, getattr(self, name)[kept])
        self.add(center, half)

    def split(self, chosen: Int[Tensor, " m"]) -> None:
        """Halve each of these cells along its axis."""
        center, half, axis = self.center[chosen], self.half[chosen].clone(), self.axis[chosen, None]
        half.scatter_(1, axis, half.gather(1, axis) / 2)
        out = torch.zeros_like(half).scatter_(1, axis, half.gather(1, axis))
        self.replace(chosen, torch.cat([center - out, center + out]), half.repeat(2, 1))

    def refine(self, tolerance: float, budget: int) -> None:
        """Split until the relative error of the integral is at most `tolerance` or `budget` evaluations are made."""
        while self.n_points < budget:
            open_, error = self.open_errors()
            if float(error.sum()) <= tolerance:
                return
            order = error.argsort(descending=True)
            cumulative = error[order].cumsum(0)
            count = int((cumulative < SPLIT_FRACTION * cumulative[-1]).sum()) + 1
            most = max(1, (budget - self.n_points) // (2 * self.points_per_cell))
            self.split(open_[order[: min(count, most)]])
            if most < count:
                return

    def open_errors(self) -> tuple[Int[Tensor, " m"], Float[Tensor, " m"]]:
        """Return cells whose rules differ by more than rounding, and their errors relative to the integral."""
        total = self.log_total
        if not math.isfinite(total):
            return torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.float64)
        above = self.log_error > self.log_value + (MAX_ROUNDING_RATIO * self.noise).log()
        open_ = above.nonzero()[:, 0]
        return open_, (self.log_error[open_] - total).exp()

    @property
    def error(self) -> float:
        """Return the sum of the differences of the two rules, relative to the integral."""
        return float((self.log_error - self.log_total).exp().sum())

    @property
    def rounding(self) -> float:
        """Return the relative change of the integral that rounding of states and energies can cause."""
        return float(((self.log_value - self.log_total).exp() * self.noise).sum())

    def containing(self, z: Float[Tensor, "m d"]) -> Int[Tensor, " m"]:
        """Return the number of the cell that contains each state; −1 for none."""
        found = torch.full((len(z),), -1, dtype=torch.int64)
        step = max(1, 4_000_000 // max(len(self), 1))
        for start in range(0, len(z), step):
            part = z[start : start + step]
            inside = torch.ones(len(part), len(self), dtype=torch.bool)
            for axis in range(z.shape[1]):
                inside &= (part[:, axis, None] - self.center[:, axis]).abs() <= self.half[:, axis]
            has, which = inside.max(1)
            found[start : start + step] = torch.where(has, which, -1)
        return found

    def carve(self, z: Float[Tensor, "m d"], width: Float[Tensor, "m d"]) -> int:
        """Split cells until those that contain these states are at most four widths long; return their number."""
        owner = self.containing(z)
        long = owner >= 0
        long[long.clone()] = (self.half[owner[long]] > 2 * width[long]).any(1)
        gone = owner[long].unique()
        if not len(gone):
            return 0
        boxes = []
        for cell in gone.tolist():
            inside = owner == cell
            numbers = (self.center[cell], self.half[cell], z[inside], width[inside])
            boxes += split_around(*(each.numpy() for each in numbers))
        center, half = (torch.from_numpy(np.stack(each)) for each in zip(*boxes, strict=True))
        self.replace(gone, center, half)
        return len(gone)


def split_around(
    center: Float[np.ndarray, " d"],
    half: Float[np.ndarray, " d"],
    z: Float[np.ndarray, "m d"],
    width: Float[np.ndarray, "m d"],
) -> list[tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]]:
    """Return boxes that fill this box; those that contain states are at most four of the states' widths long."""
    done, open_ = [], [(center, half, z, width)]
    while open_:
        c, h, inside, w = open_.pop()
        ratio = h / (2 * w.min(0)) if len(inside) else np.zeros(1)
        if ratio.max() <= 1:
            done.append((c, h))
            continue
        axis = int(ratio.argmax())
        h = h.copy()
        h[axis] /= 2
        upper = inside[:, axis] > c[axis]
        for side, rows in ((-1, ~upper), (1, upper)):
            shifted = c.copy()
            shifted[axis] += side * h[axis]
            open_.append((shifted, h, inside[rows], w[rows]))
    return done
