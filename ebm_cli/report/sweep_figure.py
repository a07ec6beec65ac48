"""A sweep as one picture: its main numbers over the keys that vary, and the samples of each combination."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ebm_cli import figure
from ebm_cli.estimate import digits, show
from ebm_cli.report.sweep_members import Member, Sweep, cells
from ebm_cli.report.sweep_pictures import are_numbers, draw_pictures, picture_layout, plain, short, values_of

MAIN = {
    "train": ("e_data", "e_model", "loss"),
    "sample": ("energy", "std", "acceptance", "ess_bulk_min"),
    "evaluate": ("frechet_ratio", "mmd", "memorization", "tv"),
    "diagnose": ("iat_max", "ess_bulk_min", "r_hat_max", "effective_temperature"),
}
LABELS = {
    "nll_upper": "best checkpoint's nll, nats",
    "sample_mmd": "best checkpoint's MMD²",
    "e_data": "mean energy of data",
    "e_model": "mean energy of chains",
    "energy": "mean energy E",
    "std": "standard deviation of x",
    "acceptance": "acceptance rate",
    "ess_bulk_min": "least bulk ESS",
    "ess_per_gradient": "ESS per gradient",
    "iat_max": "largest τ, kernel steps",
    "r_hat_max": "largest R̂",
    "effective_temperature": "effective temperature",
    "frechet_ratio": "Fréchet ratio",
    "mmd": "MMD²",
    "memorization": "memorization",
    "nll": "nll, nats",
    "tv": "total variation",
}
MOST_PANELS, MOST_COMPONENTS = 4, 4
WIDTH, PANEL_HEIGHT = 7.2, 2.5
# Cells of a heat map up to which each shows its number.
MOST_TEXTS = 49
# Letters of a number in a cell.
LONGEST_NUMBER = 6
# Letters of all values of an axis up to which they fit side by side.
MOST_LETTERS = 30

Cells = dict[tuple[str, ...], list[Member]]


@dataclass(frozen=True)
class Point:
    """A number of one combination: its mean over the jobs that have it and its standard error.

    is_ok: whether all of them are ok. part: how many of all jobs have it, empty for all.
    """

    value: float
    error: float
    is_ok: bool
    part: str


def sweep_figure(sweep: Sweep) -> tuple[Figure, str] | None:
    """One panel per number, over one axis as lines, over two as colors, and below them the samples of each combination.

    None without numbers. Numbers under caution are hollow or have a question mark; refused ones are left out.
    """
    axes = widest(sweep)
    names = drawn_names(sweep, has_lists=len(axes) == 1) if axes else []
    if not names:
        return None
    draw = lines if len(axes) == 1 else heat_map
    rows = -(-len(names) // 2)
    height = PANEL_HEIGHT * rows
    layout = picture_layout(sweep, axes)
    below = WIDTH * layout[0] / layout[1] if layout else 0.0
    heights = [height, below] if layout else [height]
    with figure.mpl.rc_context(figure.STYLE):
        drawn = Figure(figsize=(WIDTH, height + below), layout="constrained")
        parts = drawn.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)
        panels = parts[0, 0].subplots(rows, min(2, len(names)), squeeze=False).flatten()
        for panel, name in zip(panels, names, strict=False):
            draw(panel, name, sweep, axes)
        for panel in panels[len(names) :]:
            panel.axis("off")
        for panel in panels[1::2] if len(axes) == 2 else ():
            # The same as its left neighbor's.
            panel.set(ylabel="", yticklabels=[])
        if layout:
            draw_pictures(parts[1, 0], sweep, axes, layout)
    return drawn, caption(names, sweep, axes, bool(layout))


def drawn_names(sweep: Sweep, has_lists: bool) -> list[str]:
    """The numbers that have a panel: what jobs are ranked by, then the verb's main ones, lists only if asked for."""
    wanted = [sweep.by, *(name for name in MAIN[sweep.verb] if name != sweep.by)]
    found = {name: [number(each, name, sweep) for each in sweep.members] for name in wanted}
    most = MOST_COMPONENTS if has_lists else 1
    there = {name: [value for value in values if value is not None] for name, values in found.items()}
    return [name for name, values in there.items() if values and max(map(np.size, values)) <= most][:MOST_PANELS]


def number(member: Member, name: str, sweep: Sweep) -> Any:
    """A job's number: its score, or a row of metrics.json; None if it is refused or not there."""
    return member.score if name == sweep.by or not name else member.metrics.get(name, {}).get("value")


def widest(sweep: Sweep) -> list[str]:
    """At most two keys to draw over: those with the most values, in the order of the line."""
    counts = {key: len(cells(sweep.members, [key])) for key in sweep.axes}
    most = sorted(sweep.axes, key=lambda key: -counts[key])[:2]
    return [key for key in sweep.axes if key in most]


def point(members: list[Member], name: str, sweep: Sweep, component: int = 0) -> Point | None:
    """A number of the jobs of one combination, or one component of a list; None where all are refused."""
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
    part = "" if len(found) == len(members) else f"{len(found)} of {len(members)}"
    return Point(float(np.mean(values)), error, all(ok for _, _, ok in found), part)


def lines(panel: Axes, name: str, sweep: Sweep, axes: list[str]) -> None:
    """One number with its error over one axis; a list of numbers as its components."""
    (key,) = axes
    values = values_of(sweep, key)
    places = [float(value) for value in values] if are_numbers(values) else [float(i) for i in range(len(values))]
    members = cells(sweep.members, [key])
    shapes = [np.atleast_1d(number(each, name, sweep)) for each in sweep.members]
    # Jobs may differ in shape: a component is drawn where they have it.
    for component in range(min(MOST_COMPONENTS, max(len(shape) for shape in shapes))):
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
    if is_geometric(places) and are_numbers(values):
        panel.set_xscale("log")
        panel.minorticks_off()
    turned = len("".join(map(short, values))) > MOST_LETTERS
    panel.set_xticks(places, list(map(short, values)), rotation=30 if turned else 0, ha="right" if turned else "center")
    panel.set(xlabel=plain(key), ylabel=LABELS.get(name, name))


def is_geometric(places: list[float]) -> bool:
    """Whether values are better seen on a logarithmic axis."""
    return min(places) > 0 and len(places) > 2 and max(places) / min(places) >= 8


def heat_map(panel: Axes, name: str, sweep: Sweep, axes: list[str]) -> None:
    """One number as colors over two axes, written into its cell; the best combination is framed."""
    down, across = axes
    rows, columns = values_of(sweep, down), values_of(sweep, across)
    members = cells(sweep.members, axes)
    found = [[point(members.get((row, column), []), name, sweep) for column in columns] for row in rows]
    shown = np.array([[np.nan if each is None else each.value for each in line] for line in found])
    panel.grid(False)
    panel.set_facecolor("#dddddd")
    image = panel.imshow(shown, cmap="viridis", aspect="auto")
    panel.figure.colorbar(image, ax=panel, pad=0.02)
    low, high = np.nanmin(shown), np.nanmax(shown)
    if shown.size <= MOST_TEXTS:
        for i, j in np.ndindex(shown.shape):
            light = (shown[i, j] - low) / max(high - low, 1e-300) < 0.6
            each = found[i][j]
            color = "black" if each is None or not light else "white"
            panel.text(j, i, cell_text(each), ha="center", va="center", color=color, fontsize=8)
    if name == sweep.by and sweep.axes == axes:
        frame_best(panel, members, rows, columns)
    panel.set_xticks(range(len(columns)), list(map(short, columns)))
    panel.set_yticks(range(len(rows)), list(map(short, rows)))
    panel.set_xlabel(plain(across))
    panel.set_ylabel(plain(down))
    panel.set_title(LABELS.get(name, name), fontsize=10)


def frame_best(panel: Axes, members: Cells, rows: list[str], columns: list[str]) -> None:
    """Frame the combination of rank 1."""
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if any(each.rank == 1 for each in members.get((row, column), [])):
                panel.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=figure.RED, linewidth=2.5))


def cell_text(point: Point | None) -> str:
    """What a cell of a heat map says: the number, two standard errors, a question mark for caution."""
    if point is None:
        return "–"
    value, _, error = show(point.value, 2 * point.error).partition(" ± ")
    if not error or len(value) > LONGEST_NUMBER:
        value, error = digits(point.value, 3 if abs(point.value) < 1e3 else 4), error and digits(2 * point.error, 1)
    rows = [value + ("" if point.is_ok else " ?"), f"± {error}" if error else "", point.part]
    return "\n".join(filter(None, rows)).replace("-", "−")


def caption(names: list[str], sweep: Sweep, axes: list[str], has_pictures: bool) -> str:
    """What is drawn, over what, what a point is the mean of, and what good looks like."""
    first = [value for each in sweep.members if (value := number(each, names[0], sweep)) is not None]
    ends = [float(np.atleast_1d(value)[0]) for value in first]
    doubted = sum(each.verdict != "ok" for each in sweep.members)
    rest = [key for key in sweep.axes if key not in axes]
    means = [
        *([f"means over {', '.join(rest)} (the two keys with the most values are drawn)"] if rest else []),
        *(["means over seeds"] if sweep.has_replicates else []),
    ]
    many = ", 2 of 3 that two of a cell's three jobs have a number" if means else ""
    errors = "two standard errors" + (" over the jobs of a point" if means else "")
    labels = ", ".join(LABELS.get(name, name) for name in names)
    look = (
        f"Bars are {errors}; hollow points are under caution, refused ones left out"
        if len(axes) == 1
        else f"± is {errors}; ? is caution, – refused{many}; the best combination is framed"
    )
    which = "; pictures are of the first job of each combination" if has_pictures else ""
    return (
        f"{labels} of {len(sweep.members)} jobs over {' and '.join(axes)}{''.join(f', {each}' for each in means)}; "
        f"{LABELS.get(names[0], names[0])} from {min(ends):.4g} to {max(ends):.4g}. {look} ({doubted} jobs have "
        f"numbers to doubt){which}. Good: values that change smoothly along an axis."
    )
