"""The picture of Laplace wells: fractions (left) and widths (right) of the heaviest modes over temperature."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes

from ebm_cli import figure
from ebm_cli.diagnostic._laplace_mass import TemperatureScan
from ebm_cli.diagnostic._laplace_search import Wells
from ebm_cli.estimate import Picture

MAX_MODES = 6
CURVE_POINTS = 60
MARGIN = 1.15
DASHED: Any = (0, (4, 3))


def draw(scan: TemperatureScan) -> Picture:
    """Draw predictions as lines, measurements as points, and the region beyond Laplace's tolerance in gray."""
    drawn, (left, right) = figure.new(2, width=10.0, height=4.0)
    wells, T = scan.wells, scan.temperatures
    order = np.argsort(-np.max(scan.predicted, axis=0), kind="stable")[:MAX_MODES]
    curves(left, wells, np.geomspace(T[0], T[-1], CURVE_POINTS), order)
    for color, k in zip(figure.CYCLE, order.tolist(), strict=False):
        fractions(left, scan, k, color)
        widths(right, scan, k, color)
    right.axhline(1, color=figure.BLACK, linewidth=1.8, label="Laplace")
    for axes in (left, right):
        axes.set(xscale="log", xlabel="temperature T (dotted: the run's)", xlim=(T[0] / MARGIN, T[-1] * MARGIN))
        axes.axvline(T[scan.run_index], color=figure.BLACK, linewidth=0.8, linestyle=":")
        axes.set_xticks(T, [f"{each:.3g}" for each in T])
        axes.minorticks_off()
        if scan.breakdown:
            axes.axvspan(scan.breakdown[0], T[-1] * MARGIN, color="0.5", alpha=0.15, linewidth=0)
    left.set(ylabel="fraction of the mass", ylim=(-0.03, 1.03), title="temperature changes the weights")
    right.set(ylabel="⟨(x − xᵢ)ᵀHᵢ(x − xᵢ)⟩/(dT) in each mode", title="and widens the wells")
    keys(left, wells.basins is not None)
    right.legend(fontsize=8)
    return drawn, caption(scan, order)


def caption(scan: TemperatureScan, order: Int[np.ndarray, " k"]) -> str:
    """Return what is plotted, the main numbers, and what to look for."""
    numbers = ", ".join(f"{k + 1}: {scan.predicted[scan.run_index][k]:.3f}" for k in order)
    off = "never off in this sweep"
    if scan.breakdown:
        off = f"off by more than {scan.tolerance:g} from T = {scan.breakdown[0]:.3g} on (gray)"
    effective = min(each.effective for each in scan.measured)
    return (
        f"Fraction of the mass in each mode (left) and its width compared with T·H⁻¹ (right) over T. Laplace at "
        f"T = {scan.temperatures[scan.run_index]:.3g}: {numbers}; {off}. Points are independent draws from widened "
        f"Laplace Gaussians, weighted (minimum effective number: {effective:.0f}). Modes are numbered by depth. Look "
        "for lines and points that are equal within errors at low T, and diamonds at the same height."
    )


def fractions(axes: Axes, scan: TemperatureScan, k: int, color: str) -> None:
    """Draw the measured fractions of one mode, and the chains' own."""
    reliable = [t for t, each in enumerate(scan.measured) if each.is_reliable]
    fraction = [scan.measured[t].fraction[k] for t in reliable]
    error = [scan.measured[t].fraction_se[k] for t in reliable]
    at = [scan.temperatures[t] for t in reliable]
    axes.errorbar(at, fraction, error, fmt="o", color=color, markersize=5, capsize=2)
    diamond: Any = {"fmt": "D", "markersize": 6, "markerfacecolor": "white", "capsize": 2}
    own, own_error = scan.visits
    axes.errorbar(scan.temperatures[scan.run_index], own[k], own_error[k], color=color, **diamond)


def widths(axes: Axes, scan: TemperatureScan, k: int, color: str) -> None:
    """Draw the measured widths of one mode."""
    rows = [
        (T, each.width[k], each.width_se[k])
        for T, each in zip(scan.temperatures, scan.measured, strict=True)
        if each.is_reliable and np.isfinite([each.width[k], each.width_se[k]]).all()
    ]
    at, width, error = np.array(rows).reshape(-1, 3).T
    style: Any = {"fmt": "o-", "markersize": 5, "capsize": 2, "linewidth": 1.0}
    axes.errorbar(at, width, error, color=color, label=f"mode {k + 1}", **style)


def curves(axes: Axes, wells: Wells, temperatures: Float[np.ndarray, " t"], order: Int[np.ndarray, " k"]) -> None:
    """Draw Laplace's fractions over T, and quadrature's dashed."""
    laplace = np.stack([wells.predicted(T) for T in temperatures])
    exact = None if wells.basins is None else np.stack([wells.basins.weights(T) for T in temperatures])
    for color, k in zip(figure.CYCLE, order, strict=False):
        axes.plot(temperatures, laplace[:, k], color=color, linewidth=1.8)
        if exact is not None:
            axes.plot(temperatures, exact[:, k], color=color, linewidth=1.4, linestyle=DASHED)


def keys(axes: Axes, quadrature: bool) -> None:
    """Draw a legend of lines and points, in gray for all colors."""
    entries: list[tuple[str, Any]] = [
        ("Laplace", {"linestyle": "-"}),
        *((("quadrature", {"linestyle": DASHED}),) if quadrature else ()),
        ("importance draws", {"linestyle": "", "marker": "o"}),
        ("these chains", {"linestyle": "", "marker": "D", "markerfacecolor": "white"}),
    ]
    for label, style in entries:
        axes.plot([], [], color="0.3", label=label, **style)
    axes.legend(fontsize=8)
