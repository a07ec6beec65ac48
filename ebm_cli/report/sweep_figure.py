"""A sweep as one picture: its main numbers over the keys that vary, and the samples of each combination."""

import numpy as np
from matplotlib.figure import Figure

from ebm_cli import figure
from ebm_cli.report.sweep_members import Sweep, cells
from ebm_cli.report.sweep_panels import LABELS, MAX_COMPONENTS, draw_heat_map, draw_lines, number
from ebm_cli.report.sweep_pictures import draw_pictures, picture_layout

MAIN = {
    "train": ("e_data", "e_model", "loss"),
    "sample": ("magnetization", "susceptibility", "energy", "specific_heat", "std", "acceptance", "ess_bulk_min"),
    "evaluate": ("frechet_ratio", "mmd", "memorization", "tv"),
    "diagnose": ("iat_max", "ess_bulk_min", "r_hat_max", "effective_temperature"),
}
MAX_PANELS = 4
# Inches.
WIDTH, PANEL_HEIGHT = 7.2, 2.5


def sweep_figure(sweep: Sweep) -> tuple[Figure, str] | None:
    """Draw one panel per number (lines over one axis, colors over two), above the samples of each combination.

    Return the figure and its caption, or None without numbers. Numbers under caution are hollow or have a question
    mark; refused numbers are left out.
    """
    axes = drawn_axes(sweep)
    names = drawn_names(sweep, has_lists=len(axes) == 1) if axes else []
    if not names:
        return None
    draw = draw_lines if len(axes) == 1 else draw_heat_map
    rows = -(-len(names) // 2)
    height = PANEL_HEIGHT * rows
    layout = picture_layout(sweep, axes)
    below = WIDTH * layout[0] / layout[1] if layout else 0.0
    heights = [height, below] if layout else [height]
    with figure.mpl.rc_context(figure.STYLE):
        result = Figure(figsize=(WIDTH, height + below), layout="constrained")
        parts = result.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)
        panels = parts[0, 0].subplots(rows, min(2, len(names)), squeeze=False).flatten()
        for panel, name in zip(panels, names, strict=False):
            draw(panel, name, sweep, axes)
        for panel in panels[len(names) :]:
            panel.axis("off")
        for panel in panels[1::2] if len(axes) == 2 else ():
            # The left neighbor shows the same labels.
            panel.set(ylabel="", yticklabels=[])
        if layout:
            draw_pictures(parts[1, 0], sweep, axes, layout)
    return result, caption(names, sweep, axes, bool(layout))


def drawn_names(sweep: Sweep, has_lists: bool) -> list[str]:
    """Return the numbers that have a panel: the score, then the main numbers of the verb.

    has_lists: True if lists of a few numbers have a panel too.
    """
    wanted = [sweep.by, *(name for name in MAIN[sweep.verb] if name != sweep.by)]
    found = {name: [number(each, name, sweep) for each in sweep.members] for name in wanted}
    max_size = MAX_COMPONENTS if has_lists else 1
    present = {name: [value for value in values if value is not None] for name, values in found.items()}
    return [name for name, values in present.items() if values and max(map(np.size, values)) <= max_size][:MAX_PANELS]


def drawn_axes(sweep: Sweep) -> list[str]:
    """Return the one or two keys with the most values, in the order of the command line."""
    counts = {key: len(cells(sweep.members, [key])) for key in sweep.axes}
    largest = sorted(sweep.axes, key=lambda key: -counts[key])[:2]
    return [key for key in sweep.axes if key in largest]


def caption(names: list[str], sweep: Sweep, axes: list[str], has_pictures: bool) -> str:
    """Describe what is drawn, the range of the first number, the errors, and what to look for."""
    first = [value for each in sweep.members if (value := number(each, names[0], sweep)) is not None]
    ends = [float(np.atleast_1d(value)[0]) for value in first]
    n_caution = sum(each.verdict != "ok" for each in sweep.members)
    rest = [key for key in sweep.axes if key not in axes]
    means = [
        *([f"means over {', '.join(rest)} (the two keys with the most values are drawn)"] if rest else []),
        *(["means over seeds"] if sweep.has_replicates else []),
    ]
    many = ", 2 of 3 that two of a cell's three jobs have a number" if means else ""
    errors = "two standard errors" + (" over the jobs of a point" if means else "")
    labels = ", ".join(LABELS.get(name, name) for name in names)
    look = (
        f"Bars are {errors}; hollow points are under caution, refused numbers are left out"
        if len(axes) == 1
        else f"± is {errors}; ? is caution, – refused{many}; the best combination is framed"
    )
    which = "; pictures are of the first job of each combination" if has_pictures else ""
    return (
        f"{labels} of {len(sweep.members)} jobs over {' and '.join(axes)}{''.join(f', {each}' for each in means)}; "
        f"{LABELS.get(names[0], names[0])} from {min(ends):.4g} to {max(ends):.4g}. {look} ({n_caution} jobs have "
        f"numbers under caution){which}. Look for values that change smoothly along an axis."
    )
