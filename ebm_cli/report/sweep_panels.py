"""One number of a sweep as a panel: lines over one axis, or a heat map over two."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from ebm_cli import figure
from ebm_cli.estimate import digits, show
from ebm_cli.report.sweep_members import Member, Sweep, cells
from ebm_cli.report.sweep_titles import are_numbers, key_title, value_title, values_of

LABELS = {
    "nll_upper": "best checkpoint's nll, nats",
    "sample_mmd": "best checkpoint's MMD²",
    "e_data": "mean energy of data",
    "e_model": "mean energy of chains",
    "energy": "mean energy E",
    "std": "standard deviation of x",
    "acceptance": "acceptance rate",
    "ess_bulk_min": "smallest bulk ESS",
    "ess_per_gradient": "ESS per gradient",
    "iat_max": "largest τ, kernel steps",
    "r_hat_max": "largest R̂",
    "r_hat_nested": "nested R̂",
    "effective_temperature": "effective temperature",
    "fisher_divergence": "Fisher divergence",
    "frechet_ratio": "Fréchet ratio",
    "mmd": "MMD²",
    "memorization": "memorization",
    "ksd": "kernel Stein discrepancy, squared",
    "nll": "nll, nats",
    "tv": "total variation",
}
MAX_COMPONENTS = 4
# Maximum number of cells of a heat map in which each shows its number.
MAX_CELL_TEXTS = 49
# Maximum number of letters of a number in a cell.
MAX_NUMBER_LETTERS = 6
# Maximum number of letters of all values of an axis together, if they are not rotated.
MAX_AXIS_LETTERS = 30
# The width of a letter, and of a rotated label, in widths of the narrowest panel.
LETTER_WIDTH, ROTATED_WIDTH = 0.035, 0.09

Cells = dict[tuple[str, ...], list[Member]]


@dataclass(frozen=True)
class Point:
    """A number of one combination: its mean over the jobs that have it, and its standard error.

    is_ok: True if its verdict is ok in all of these jobs.
    count: text such as "2 of 3" if some jobs do not have the number, otherwise empty.
    """

    value: float
    error: float
    is_ok: bool
    count: str


def number(member: Member, name: str, sweep: Sweep) -> Any:
    """Return a number of a job, its score or a row of metrics.json; None if it is refused or missing."""
    return member.score if name == sweep.by or not name else member.metrics.get(name, {}).get("value")


def point(members: list[Member], name: str, sweep: Sweep, component: int = 0) -> Point | None:
    """Return a number, or one component of a list, for the jobs of a combination; None if all are refused."""
    found = []
    for each in members:
        row = each.metrics.get(name, {})
        values = np.atleast_1d(number(each, name, sweep))
        if values[0] is not None and len(values) > component:
            errors = np.atleast_1d(row["se"] if row.get("se") is not None else 0.0)
            error = errors[component] if len(errors) > component else 0.0
            found.append((float(values[component]), float(error), row.get("verdict", each.verdict) == "ok"))
    if not found:
        return None
    values = [value for value, _, _ in found]
    error = found[0][1] if len(found) == 1 else float(np.std(values, ddof=1) / len(values) ** 0.5)
    count = "" if len(found) == len(members) else f"{len(found)} of {len(members)}"
    return Point(float(np.mean(values)), error, all(ok for _, _, ok in found), count)


def draw_lines(panel: Axes, name: str, sweep: Sweep, axes: list[str]) -> None:
    """Draw one number with its error over one axis, or each component of a list."""
    (key,) = axes
    values = values_of(sweep, key)
    places = [float(value) for value in values] if are_numbers(values) else [float(i) for i in range(len(values))]
    members = cells(sweep.members, [key])
    shapes = [np.atleast_1d(number(each, name, sweep)) for each in sweep.members]
    # Jobs may have lists of different lengths: a component is drawn for the jobs that have it.
    for component in range(min(MAX_COMPONENTS, max(len(shape) for shape in shapes))):
        color = figure.CYCLE[component % len(figure.CYCLE)]
        found = [point(members[(value,)], name, sweep, component) for value in values]
        pairs = [(place, each) for place, each in zip(places, found, strict=True) if each is not None]
        for place, each in pairs:
            fill = color if each.is_ok else "white"
            panel.errorbar(place, each.value, 2 * each.error, color=color, marker="o", mfc=fill, capsize=3)
        if max(map(len, shapes)) > 1 and pairs:
            panel.plot([], [], color=color, marker="o", label=f"x[{component}]")
            panel.legend()
        if are_numbers(values):
            panel.plot([place for place, _ in pairs], [each.value for _, each in pairs], color=color, alpha=0.6, lw=1)
    is_log = is_geometric(places) and are_numbers(values)
    if is_log:
        panel.set_xscale("log")
        panel.minorticks_off()
    titles = list(map(value_title, values))
    rotate = len("".join(titles)) > MAX_AXIS_LETTERS
    if are_numbers(values):
        titles = without_overlap(np.log(places) if is_log else np.array(places), titles, rotate)
    panel.set_xticks(places, titles, rotation=30 if rotate else 0, ha="right" if rotate else "center")
    panel.set(xlabel=key_title(key), ylabel=LABELS.get(name, name))


def without_overlap(places: np.ndarray, titles: list[str], rotated: bool) -> list[str]:
    """Return the labels of ticks from left to right, empty for each that would overlap the label before it."""
    end, shown = -np.inf, []
    for place, title in zip((places - places[0]) / (np.ptp(places) or 1.0), titles, strict=True):
        half = 0.5 * (ROTATED_WIDTH if rotated else LETTER_WIDTH * (len(title) + 1))
        fits = place - half >= end
        end = place + half if fits else end
        shown.append(title if fits else "")
    return shown


def is_geometric(places: list[float]) -> bool:
    """Return True if values (> 0) span a factor of 8 or more, so that a logarithmic axis is clearer."""
    return min(places) > 0 and len(places) > 2 and max(places) / min(places) >= 8


def draw_heat_map(panel: Axes, name: str, sweep: Sweep, axes: list[str]) -> None:
    """Draw one number as colors over two axes, with its value in each cell; frame the best combination."""
    down, across = axes
    rows, columns = values_of(sweep, down), values_of(sweep, across)
    members = cells(sweep.members, axes)
    found = [[point(members.get((row, column), []), name, sweep) for column in columns] for row in rows]
    means = np.array([[np.nan if each is None else each.value for each in line] for line in found])
    panel.grid(False)
    panel.set_facecolor("#dddddd")
    image = panel.imshow(means, cmap="viridis", aspect="auto")
    panel.figure.colorbar(image, ax=panel, pad=0.02)
    low, high = np.nanmin(means), np.nanmax(means)
    if means.size <= MAX_CELL_TEXTS:
        for i, j in np.ndindex(means.shape):
            light = (means[i, j] - low) / max(high - low, 1e-300) < 0.6
            each = found[i][j]
            color = "black" if each is None or not light else "white"
            panel.text(j, i, cell_text(each), ha="center", va="center", color=color, fontsize=8)
    if name == sweep.by and sweep.axes == axes:
        frame_best(panel, members, rows, columns)
    panel.set_xticks(range(len(columns)), list(map(value_title, columns)))
    panel.set_yticks(range(len(rows)), list(map(value_title, rows)))
    panel.set_xlabel(key_title(across))
    panel.set_ylabel(key_title(down))
    panel.set_title(LABELS.get(name, name), fontsize=10)


def frame_best(panel: Axes, members: Cells, rows: list[str], columns: list[str]) -> None:
    """Frame the combination of rank 1."""
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if any(each.rank == 1 for each in members.get((row, column), [])):
                panel.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=figure.RED, linewidth=2.5))


def cell_text(point: Point | None) -> str:
    """Return the text of a cell: the number, two standard errors, a question mark for caution."""
    if point is None:
        return "–"
    value, _, error = show(point.value, 2 * point.error).partition(" ± ")
    if not error or len(value) > MAX_NUMBER_LETTERS:
        value, error = digits(point.value, 3 if abs(point.value) < 1e3 else 4), error and digits(2 * point.error, 1)
    rows = [value + ("" if point.is_ok else " ?"), f"± {error}" if error else "", point.count]
    return "\n".join(filter(None, rows)).replace("-", "−")
