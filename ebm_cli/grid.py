"""A grid that follows a density in one to three dimensions during training: log Z with its derivative."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import _angles
from ebm_cli.energy import frozen

MAX_DIMENSIONS = 3
# Points per side, by dimension: of the first grid, and of the finest.
FIRST_POINTS = {1: 257, 2: 129, 3: 33}
MAX_POINTS = {1: 16385, 2: 513, 3: 65}
# Points per circle, by dimension.
FIRST_ANGLES = {1: 128, 2: 64, 3: 16}
MAX_ANGLES = {1: 16384, 2: 512, 3: 64}
# Half-width of the box used for the periodic global check, in half-ranges of the data.
GLOBAL_HALF_WIDTH = 4.0
# Largest fraction of the mass in the outer sixteenth of a side, and outside of a tightened box per side.
MAX_EDGE_MASS, MAX_LEFT_OUT = 1e-8, 1e-10
ROUNDS = 24
# Points per evaluation of E.
CHUNK = 2048


class Grid(nn.Module):
    """log Z = log Σᵢ exp(−E(xᵢ)/T) + log(volume of a cell): the trapezoid rule on a grid without mass at its edge.

    For smooth functions that vanish at the edge its error falls faster than any power of the spacing (Trefethen and
    Weideman, 2014, SIAM Review 56, 385). The same sum over every other point along each side costs nothing: if it
    differs by more than `tolerance`, the grid is refined. A side whose outer sixteenth contains more than 1e-8 of the
    mass moves out; a box much wider than the mass is tightened. Every `refresh` calls the search restarts from a box
    four times as wide as the rows, to find mass that appeared beyond the grid, across a gap.

    rows: states around which the mass is at first.
    points: points per side of the first grid (odd, ≥ 17); None: 257, 129 or 33 in 1, 2 or 3 dimensions.
    refresh: calls between restarts (≥ 1).
    tolerance: accepted change of log Z (> 0, in nats).
    Raises InputError if no box contains the mass or the finest grid is too coarse.
    """

    wide: Tensor
    box: Tensor
    side: Tensor
    age: Tensor

    def __init__(self, rows: Float[Tensor, "n *event"], points: int | None, refresh: int, tolerance: float) -> None:
        super().__init__()
        x = rows.flatten(1)
        self.event, d = tuple(rows.shape[1:]), x.shape[1]
        self.first = FIRST_POINTS[d] if points is None else points
        self.refresh = refresh
        self.tolerance = tolerance
        low, high = x.amin(0).double(), x.amax(0).double()
        half = (high - low) / 2
        half = torch.where(half > 0, half, half.max().clamp(min=1e-3))
        center = (low + high) / 2
        wide = torch.stack([center - GLOBAL_HALF_WIDTH * half, center + GLOBAL_HALF_WIDTH * half], 1)
        self.register_buffer("wide", wide, persistent=False)
        self.register_buffer("box", wide.clone())
        self.register_buffer("side", torch.tensor(self.first))
        self.register_buffer("age", torch.tensor(0))

    def log_partition(self, energy: nn.Module, temperature: float) -> Float[Tensor, ""]:
        """Return log Z(T). Its derivative by the parameters, −⟨∂E/∂θ⟩/T, is over the points that contain the mass."""
        with torch.no_grad(), frozen(energy):
            if int(self.age) % self.refresh == 0:
                self.box, self.side = self.wide.clone(), torch.full_like(self.side, self.first)
            x, log_f = self._converged_grid(energy, temperature)
            log_z, fractions = log_f.logsumexp(0) + self._log_cell(), log_f.softmax(0)
            held = fractions > MAX_LEFT_OUT
        self.age += 1
        mean = -(fractions[held] * energy(x[held])).sum() / temperature
        return log_z + (mean - mean.detach())

    def _converged_grid(
        self, energy: nn.Module, T: float
    ) -> tuple[Float[Tensor, "points *event"], Float[Tensor, " points"]]:
        """Return the points of a grid that needs no more change, and −E/T there."""
        for _ in range(ROUNDS):
            x = self._points()
            log_f = -torch.cat([energy(part) for part in x.split(CHUNK)]).double() / T
            if not self._changed(log_f):
                return x, log_f
        raise InputError(
            f"objective=exact found no box that contains the mass of exp(−E/T), up to {_describe(self.box)}. Increase "
            "energy.confinement"
        )

    def _changed(self, log_f: Float[Tensor, " points"]) -> bool:
        """Move, tighten or refine the grid for these values. Return True if it was changed."""
        side, d = int(self.side), len(self.box)
        if not bool(log_f.logsumexp(0).isfinite()):
            return False
        fractions = marginals(log_f, side, d)
        outer = max(1, side // 16)
        heavy = torch.stack([fractions[:, :outer].sum(1), fractions[:, -outer:].sum(1)], 1) > MAX_EDGE_MASS
        if bool(heavy.any()):
            self._widen(heavy)
            return True
        tight = self._tighten_box(fractions)
        if bool(((tight[:, 1] - tight[:, 0]) < 0.6 * (self.box[:, 1] - self.box[:, 0])).any()):
            self.box = tight
            return True
        every_other = log_f.view([side] * d)[(slice(None, None, 2),) * d]
        twice_as_coarse = every_other.flatten().logsumexp(0) + d * torch.log(torch.tensor(2.0, dtype=torch.float64))
        change = float((twice_as_coarse - log_f.logsumexp(0)).abs())
        if change <= self.tolerance:
            return False
        finer = 2 * side - 1
        if finer > max(MAX_POINTS[d], self.first):
            raise InputError(
                f"objective=exact is too coarse: log Z changes by {change:.2g} nats if every other of {side} points "
                "per side is used. Smooth the energy, increase objective.tolerance, or use chains"
            )
        self.side = torch.full_like(self.side, finer)
        return True

    def _widen(self, heavy: Bool[Tensor, "d 2"]) -> None:
        out = 0.25 * (self.box[:, 1] - self.box[:, 0])
        self.box = self.box + torch.stack([-out, out], 1) * heavy

    def _tighten_box(self, fractions: Float[Tensor, "d side"]) -> Float[Tensor, "d 2"]:
        """Return the box around all but a negligible fraction of the mass, with a margin of a quarter of its width."""
        inside = (fractions.cumsum(1) > MAX_LEFT_OUT) & (fractions.flip(1).cumsum(1).flip(1) > MAX_LEFT_OUT)
        place = torch.arange(fractions.shape[1], device=fractions.device).expand_as(fractions)
        first = torch.where(inside, place, fractions.shape[1]).amin(1)
        last = torch.where(inside, place, -1).amax(1)
        spacing = (self.box[:, 1] - self.box[:, 0]) / (fractions.shape[1] - 1)
        low, high = self.box[:, 0] + first * spacing, self.box[:, 0] + last * spacing
        margin = torch.maximum(2 * spacing, (high - low) / 4)
        return torch.stack(
            [torch.maximum(low - margin, self.box[:, 0]), torch.minimum(high + margin, self.box[:, 1])], 1
        )

    def _points(self) -> Float[Tensor, "points *event"]:
        along = torch.linspace(0, 1, int(self.side), dtype=torch.float64, device=self.box.device)
        axes = [low + (high - low) * along for low, high in self.box]
        points = torch.stack([axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij")], 1)
        return points.to(torch.get_default_dtype()).view(-1, *self.event)

    def _log_cell(self) -> Float[Tensor, ""]:
        return ((self.box[:, 1] - self.box[:, 0]) / (self.side - 1)).log().sum()


class AngleGrid(nn.Module):
    """log Z of angles: the same sum over a grid around the circles, whose points are doubled until it has converged.

    The sum over every other point costs nothing: if it differs by more than `tolerance`, the grid is doubled.

    tolerance: accepted change of log Z (> 0, in nats).
    Raises InputError if the finest grid is too coarse.
    """

    side: Tensor

    def __init__(self, event: tuple[int, ...], tolerance: float) -> None:
        super().__init__()
        self.event, self.tolerance = event, tolerance
        self.register_buffer("side", torch.tensor(FIRST_ANGLES[math.prod(event)]))

    def log_partition(self, energy: nn.Module, temperature: float) -> Float[Tensor, ""]:
        """Return log Z(T). Its derivative by the parameters, −⟨∂E/∂θ⟩/T, is over the points that contain the mass."""
        with torch.no_grad(), frozen(energy):
            x, log_f = self._converged_grid(energy, temperature)
            cell = math.prod(self.event) * math.log(_angles.PERIOD / int(self.side))
            log_z, fractions = log_f.logsumexp(0) + cell, log_f.softmax(0)
            held = fractions > MAX_LEFT_OUT
        mean = -(fractions[held] * energy(x[held])).sum() / temperature
        return log_z + (mean - mean.detach())

    def _converged_grid(
        self, energy: nn.Module, T: float
    ) -> tuple[Float[Tensor, "points *event"], Float[Tensor, " points"]]:
        """Return the points of a grid that needs no more, and −E/T there."""
        d = math.prod(self.event)
        while True:
            side = int(self.side)
            x = angle_grid(side, self.event, self.side.device)
            log_f = -torch.cat([energy(part) for part in x.split(CHUNK)]).double() / T
            every_other = log_f.view([side] * d)[(slice(None, None, 2),) * d].flatten()
            change = float((every_other.logsumexp(0) + d * math.log(2) - log_f.logsumexp(0)).abs())
            # A log Z that is not finite is left to the training loop.
            if change <= self.tolerance or not math.isfinite(change):
                return x, log_f
            if 2 * side > MAX_ANGLES[d]:
                raise InputError(
                    f"objective=exact is too coarse: log Z changes by {change:.2g} nats if every other of {side} "
                    "points per angle is used. Smooth the energy, increase objective.tolerance, or use chains"
                )
            self.side = torch.full_like(self.side, 2 * side)


def angle_grid(side: int, event: tuple[int, ...], device: torch.device) -> Float[Tensor, "points *event"]:
    """Return all states whose angles are multiples of 2π/side, in [−π, π)."""
    axis = _angles.PERIOD / side * torch.arange(side, dtype=torch.float64, device=device) - math.pi
    axes = torch.meshgrid(*[axis] * math.prod(event), indexing="ij")
    return torch.stack([each.flatten() for each in axes], 1).to(torch.get_default_dtype()).view(-1, *event)


def marginals(log_f: Float[Tensor, " points"], side: int, d: int) -> Float[Tensor, "d side"]:
    """Return the fraction of the grid's mass at each value of each coordinate."""
    fractions = log_f.softmax(0).view([side] * d)
    return torch.stack([fractions.movedim(axis, 0).reshape(side, -1).sum(1) for axis in range(d)])


def check_grid(points: int | None, refresh: int, tolerance: float) -> None:
    """Raise InputError unless these describe a grid."""
    if points is not None:
        check.count("grid_points", points, minimum=17)
        if points % 2 == 0:
            raise InputError(f"grid_points must be odd, so that every other one makes a grid, got {points}")
    check.count("recheck_every", refresh)
    check.positive("tolerance", tolerance)


def _describe(box: Float[Tensor, "d 2"]) -> str:
    return " × ".join(f"[{float(low):.3g}, {float(high):.3g}]" for low, high in box)
