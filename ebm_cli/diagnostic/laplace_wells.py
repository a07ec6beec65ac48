"""Laplace wells: how temperature shares the mass out among wells, predicted from each bottom and measured."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from ebm_cli import check, figure
from ebm_cli.chain.chain_file import Chains, evenly
from ebm_cli.data._rows import available_rows
from ebm_cli.diagnostic import Patient
from ebm_cli.estimate import Estimate, refused
from ebm_cli.figure.finding import Finding
from ebm_cli.rng import generator, normal_like
from ebm_cli.wells.basins import Basins, basins_of
from ebm_cli.wells.modes import (
    Modes,
    find_modes,
    hessians,
    laplace_log_mass,
    shares_of,
    spread_of,
    states_of,
    values,
)

NAMES = ("laplace_occupancy", "laplace_width", "laplace_departure")
MOST = 64
STARTS = 500
SCALES = (1.0, 1.6, 3.0)
BROAD = 0.2
LEAST = 100
SHOWN = 6
FINE = 60
DASHED: Any = (0, (4, 3))


@dataclass(frozen=True)
class Wells:
    """Modes with the Hessian at each minimum; basins where a grid holds them. reach: for descents between them."""

    modes: Modes
    hessian: Float[Tensor, "m d d"]
    basins: Basins | None
    reach: float

    def log_masses(self, temperature: float) -> Float[Tensor, " m"]:
        """Laplace's log mass of each minimum."""
        return laplace_log_mass(self.modes.energy, self.hessian, temperature)

    def predicted(self, temperature: float) -> Float[np.ndarray, " k"]:
        """Laplace's share of each mode, summed over its minima."""
        shares = self.log_masses(temperature).softmax(0).cpu().numpy()
        return np.bincount(self.modes.mode, shares, minlength=len(self.modes))

    def of(self, energy: nn.Module, x: Float[Tensor, "n *event"], temperature: float) -> Int[np.ndarray, " n"]:
        """The mode of each state: its grid point's, or where descent from it ends."""
        if self.basins is not None:
            return self.basins.of(x.double().cpu().numpy())
        return self.modes.reached(energy, x, temperature, self.reach)


@dataclass(frozen=True)
class Measured:
    """Shares and widths of modes by weighted draws, with standard errors. effective: (Σw)²/Σw²."""

    share: Float[np.ndarray, " k"]
    share_se: Float[np.ndarray, " k"]
    width: Float[np.ndarray, " k"]
    width_se: Float[np.ndarray, " k"]
    effective: float


class LaplaceWells:
    """massᵢ ∝ exp(−Eᵢ/T)·(2πT)^{d/2}·det(Hᵢ)^{−½} and covariance T·Hᵢ⁻¹ at each minimum i, over a sweep of T.

    Laplace, 1774; exact as T → 0, off by a share of order T where wells are not quadratic. Beside it the same shares by
    quadrature over basins (up to three dimensions) and by importance sampling: independent draws from Gaussians at
    the minima, of 1, 1.6 and 3 times Laplace's covariance, and one broad Gaussian, weighted by exp(−E/T)/q. That mixes
    by construction; the error of a share is √Σ w̃²(1ₖ − share)² and its bias of order 1/effective draws (Hesterberg,
    1995). `laplace_width` is ⟨(x − xᵢ)ᵀHᵢ(x − xᵢ)⟩/(dT) in mode i at the run's T, 1 where Laplace holds.
    `laplace_departure` is the lowest T of the sweep at which a share is off by more than `tolerance` and four errors;
    an empty list where none is. Minima are those that the chains' draws and training rows descend to, or
    a grid's; one that neither comes near goes unseen above three dimensions.

    temperatures: multiples of the run's T > 0. barrier: in T > 0, below which minima are one mode.
    draws: importance draws at each T ≥ 100. tolerance: a share in [0, 1].
    """

    def __init__(self, temperatures: float | list[float], barrier: float, draws: int, tolerance: float) -> None:
        multiples = temperatures if isinstance(temperatures, list) else [temperatures]
        if not multiples:
            raise check.InputError("temperatures must be multiples of T, got none")
        for multiple in multiples:
            check.positive("temperatures", multiple)
        check.positive("barrier", barrier)
        check.count("draws", draws, least=LEAST)
        check.share("tolerance", tolerance)
        self.temperatures = sorted({1.0, *map(float, multiples)})
        self.barrier = barrier
        self.draws = draws
        self.tolerance = tolerance

    def __call__(self, patient: Patient) -> Finding:
        screened = patient.screened()
        energy, temperature = patient.energy, patient.temperature
        if energy is None or temperature is None:
            return none("the energy is not known from a file of chains alone: use run=RUN of ebm sample")
        if temperature <= 0:
            return none("at T = 0 wells have no mass: use sampler.temperature > 0")
        if screened.good is None:
            return none(screened.fatal)
        found = self._wells(patient, energy, temperature, screened.good)
        if isinstance(found, str):
            return none(found)
        sweep = [multiple * temperature for multiple in self.temperatures]
        now = self.temperatures.index(1.0)
        predicted = np.stack([found.predicted(T) for T in sweep])
        measured = [importance(energy, found, T, self.draws) for T in sweep]
        exact = None if found.basins is None else np.stack([found.basins.weights(T) for T in sweep])
        off = [self._off(predicted[t], measured[t], None if exact is None else exact[t]) for t in range(len(sweep))]
        known = [value for value in off if value is not None]
        doubts = list(screened.remarks)
        departs = [T for T, value in zip(sweep, off, strict=True) if value is not None and value > 0][:1]
        if (off[now] or 0) > 0:
            doubts.append(
                f"Laplace is off by more than {self.tolerance:g} at T = {temperature:g}: wells are not quadratic"
            )
        weak = weakness(measured[now], self.draws)
        # Without a grid, the minima are those near the chains' draws.
        rests = "caution" if found.basins is None else "kept"
        estimates = {
            "laplace_occupancy": Estimate(predicted[now].tolist(), if_not_mixed=rests).with_caution(doubts),
            "laplace_width": refused(weak) if weak else widths(measured[now]).with_caution(screened.remarks),
            "laplace_departure": Estimate(departs).with_caution(screened.remarks) if known else refused(weak),
        }
        visits = occupancy(energy, found, screened.good, temperature)
        return Finding(estimates, *picture(found, sweep, now, measured, visits, departs, self.tolerance))

    def _wells(self, patient: Patient, energy: nn.Module, temperature: float, chains: Chains) -> Wells | str:
        """The wells, or why there are none to expand."""
        event = chains.event
        x = chains.x.reshape(-1, *event)
        x = x[evenly(len(x), STARTS)].astype(float)
        if patient.data is not None:
            rows = available_rows(patient.data).x.double().cpu().numpy()
            x = np.concatenate([x, rows[evenly(len(rows), STARTS)]])
        basins, states = None, states_of(energy, x)
        if len(event) == 1 and event[0] <= 3:
            basins = basins_of(energy, x, temperature, self.barrier, temperature * self.temperatures[-1])
        reach = 0.1 * spread_of(states)
        modes = find_modes(energy, states, temperature, self.barrier, reach)[0] if basins is None else basins.modes
        if len(modes.minima) > MOST:
            return f"{len(modes.minima)} minima are more than the {MOST} that are expanded: the landscape is too rugged"
        hessian = hessians(energy, modes.minima)
        lowest = torch.linalg.eigvalsh(hessian)[:, 0]
        if not bool((lowest > 0).all()):
            worst = int(lowest.argmin())
            return (
                f"the Hessian of E at minimum {worst + 1} is not positive definite (lowest eigenvalue "
                f"{float(lowest[worst]):.2g}): Laplace's formula needs a curved bottom, as smooth energies have"
            )
        return Wells(modes, hessian, basins, reach)

    def _off(
        self, predicted: Float[np.ndarray, " k"], measured: Measured, exact: Float[np.ndarray, " k"] | None
    ) -> float | None:
        """By how much a share is farther off than is allowed; None where nothing says so."""
        if exact is not None:
            return float(abs(predicted - exact).max() - self.tolerance)
        if measured.effective < LEAST:
            return None
        return float((abs(predicted - measured.share) - np.maximum(4 * measured.share_se, self.tolerance)).max())


def none(reason: str) -> Finding:
    """Every estimate refused for the same reason."""
    return Finding({name: refused(reason) for name in NAMES})


def weakness(measured: Measured, draws: int) -> str:
    """Why weighted draws say nothing; empty where they do."""
    if measured.effective >= LEAST and np.isfinite(measured.width).all():
        return ""
    return (
        f"importance weights collapse ({measured.effective:.0f} effective of {draws} draws), so Laplace has nothing to "
        "be held against: raise diagnostic.laplace_wells.draws"
    )


def widths(measured: Measured) -> Estimate:
    """The widths with their errors."""
    return Estimate(measured.width.tolist(), se=measured.width_se.tolist())


def importance(energy: nn.Module, wells: Wells, temperature: float, draws: int) -> Measured:
    """Shares and widths under exp(−E/T) by independent draws from widened Laplace Gaussians, self-normalised."""
    modes, T = wells.modes, temperature
    rng = generator(0, "laplace_wells", modes.minima.device)
    flat, event = modes.minima.flatten(1).double(), modes.minima.shape[1:]
    m, d = flat.shape
    laplace = wells.log_masses(T).softmax(0)
    # Half of the draws go evenly to all wells, so that a light one is measured too.
    share = (1 - BROAD) * (0.5 * laplace + 0.5 / m).repeat(len(SCALES)) / len(SCALES)
    covariance = T * torch.linalg.inv(wells.hessian)
    mean = (laplace[:, None] * flat).sum(0)
    between = (flat - mean).T @ (laplace[:, None] * (flat - mean))
    whole = between + (laplace[:, None, None] * covariance).sum(0)
    share = torch.cat([share, share.new_tensor([BROAD])])
    means = torch.cat([flat.repeat(len(SCALES), 1), mean[None]])
    factors = torch.linalg.cholesky(torch.cat([*(scale * covariance for scale in SCALES), 2 * whole[None]]))
    k = torch.multinomial(share, draws, replacement=True, generator=rng)
    ξ = normal_like(flat.new_empty(draws, d), rng)
    y = means[k] + (factors[k] @ ξ[:, :, None])[:, :, 0]
    z = torch.linalg.solve_triangular(factors, (y - means[:, None]).mT, upper=False).square().sum(1)
    log_det = factors.diagonal(dim1=1, dim2=2).log().sum(1)
    log_q = torch.logsumexp(share.log()[:, None] - z / 2 - log_det[:, None], 0) - d / 2 * math.log(2 * math.pi)
    x = y.to(modes.minima).view(draws, *event)
    log_w = -values(energy, x).double() / T - log_q
    w = torch.where(log_w.isfinite(), log_w, -math.inf).softmax(0)
    mode = torch.as_tensor(wells.of(energy, x, T), device=w.device)
    lowest = torch.as_tensor(np.unique(modes.mode, return_index=True)[1], device=w.device)
    apart = y - flat[lowest[mode]]
    square = torch.einsum("ni,nij,nj->n", apart, wells.hessian[lowest[mode]], apart) / (d * T)
    inside = nn.functional.one_hot(mode, len(modes)).double()
    p = w @ inside
    p_se = ((w[:, None] * (inside - p)).square().sum(0)).sqrt()
    width = (w * square) @ inside / p
    width_se = ((w[:, None] * inside * (square[:, None] - width)).square().sum(0)).sqrt() / p
    parts = [part.cpu().numpy() for part in (p, p_se, width, width_se)]
    return Measured(*parts, effective=float(1 / w.square().sum()))


def occupancy(
    energy: nn.Module, wells: Wells, chains: Chains, temperature: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """The chains' own shares at the run's T, with errors over chains; at most 20 draws a chain."""
    count, few = len(chains.x), chains.thinned(20)
    mode = wells.of(energy, states_of(energy, few.reshape(-1, *chains.event)), temperature).reshape(count, -1)
    shares = shares_of(mode, len(wells.modes))
    return shares.mean(0), shares.std(0, ddof=1) / count**0.5


def picture(
    wells: Wells,
    sweep: list[float],
    now: int,
    measured: list[Measured],
    visits: tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]],
    departs: list[float],
    tolerance: float,
) -> tuple[Figure, str]:
    """Shares (left) and widths (right) of the heaviest modes over T, the region where Laplace departs in grey."""
    drawn, (left, right) = figure.new(2, width=10.0, height=4.0)
    predicted = wells.predicted(sweep[now])
    order = np.argsort(-np.max([wells.predicted(T) for T in sweep], axis=0), kind="stable")[:SHOWN]
    curves(left, wells, np.geomspace(sweep[0], sweep[-1], FINE), order)
    sound = [t for t in range(len(sweep)) if measured[t].effective >= LEAST]
    at = [sweep[t] for t in sound]
    for color, k in zip(figure.CYCLE, order, strict=False):
        share, error = (np.array([getattr(measured[t], name)[k] for t in sound]) for name in ("share", "share_se"))
        left.errorbar(at, share, error, fmt="o", color=color, markersize=5, capsize=2)
        diamond: Any = {"fmt": "D", "markersize": 6, "markerfacecolor": "white", "capsize": 2}
        left.errorbar(sweep[now], visits[0][k], visits[1][k], color=color, **diamond)
        width, error = (np.array([getattr(measured[t], name)[k] for t in sound]) for name in ("width", "width_se"))
        held = np.isfinite(width) & np.isfinite(error)
        style: Any = {"fmt": "o-", "markersize": 5, "capsize": 2, "linewidth": 1.0}
        right.errorbar(np.array(at)[held], width[held], error[held], color=color, label=f"mode {k + 1}", **style)
    right.axhline(1, color=figure.BLACK, linewidth=1.8, label="Laplace")
    for axes in (left, right):
        axes.set(xscale="log", xlabel="temperature T (dotted: the run's)", xlim=(sweep[0] / 1.15, sweep[-1] * 1.15))
        axes.axvline(sweep[now], color=figure.BLACK, linewidth=0.8, linestyle=":")
        axes.set_xticks(sweep, [f"{T:.3g}" for T in sweep])
        axes.minorticks_off()
        if departs:
            axes.axvspan(departs[0], sweep[-1] * 1.15, color="0.5", alpha=0.15, linewidth=0)
    left.set(ylabel="share of the mass", ylim=(-0.03, 1.03), title="temperature twists the weights")
    right.set(ylabel="⟨(x − xᵢ)ᵀHᵢ(x − xᵢ)⟩/(dT) in each mode", title="and widens the wells")
    keys(left, wells.basins is not None)
    right.legend(fontsize=8)
    numbers = ", ".join(f"{k + 1}: {predicted[k]:.3f}" for k in order)
    off = (
        f"off by more than {tolerance:g} from T = {departs[0]:.3g} on (grey)" if departs else "never off in this sweep"
    )
    caption = (
        f"Share of each mode's mass (left) and its width beside T·H⁻¹ (right) over T. Laplace at T = {sweep[now]:.3g}: "
        f"{numbers}; {off}. Points are independent draws from widened Laplace Gaussians, weighted (effective "
        f"{min(m.effective for m in measured):.0f} at the least); modes are numbered by depth. Good: at low T lines "
        "and points agree within errors, and diamonds with both."
    )
    return drawn, caption


def curves(axes: Axes, wells: Wells, sweep: Float[np.ndarray, " t"], order: Int[np.ndarray, " k"]) -> None:
    """Laplace's shares over T, and quadrature's dashed."""
    laplace = np.stack([wells.predicted(T) for T in sweep])
    exact = None if wells.basins is None else np.stack([wells.basins.weights(T) for T in sweep])
    for color, k in zip(figure.CYCLE, order, strict=False):
        axes.plot(sweep, laplace[:, k], color=color, linewidth=1.8)
        if exact is not None:
            axes.plot(sweep, exact[:, k], color=color, linewidth=1.4, linestyle=DASHED)


def keys(axes: Axes, quadrature: bool) -> None:
    """A legend of what lines and points are, whatever their colour."""
    entries: list[tuple[str, Any]] = [
        ("Laplace", {"linestyle": "-"}),
        *((("quadrature", {"linestyle": DASHED}),) if quadrature else ()),
        ("importance draws", {"linestyle": "", "marker": "o"}),
        ("these chains", {"linestyle": "", "marker": "D", "markerfacecolor": "white"}),
    ]
    for label, style in entries:
        axes.plot([], [], color="0.3", label=label, **style)
    axes.legend(fontsize=8)
