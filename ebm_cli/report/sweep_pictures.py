"""The samples of the combinations of a sweep, in the order of its axes."""

from itertools import product
from pathlib import Path

import matplotlib.image as mpimg
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from ebm_cli import figure
from ebm_cli.report.sweep_members import Member, Sweep, cells
from ebm_cli.report.sweep_titles import axis_title, values_of

# Maximum number of pictures per row and in total over one axis, and per side over two axes.
MAX_PER_ROW, MAX_PICTURES, MAX_PER_SIDE = 4, 8, 6
MAX_POINTS = 1000
# Maximum number of points that are drawn large.
MAX_LARGE_POINTS = 100


def picture_layout(sweep: Sweep, axes: list[str]) -> tuple[int, int] | None:
    """Return the number of rows and columns of the grid of pictures; None without pictures or with too many."""
    if not any(has_picture(each) for each in sweep.members):
        return None
    counts = [len(values_of(sweep, key)) for key in axes]
    if len(axes) == 2:
        return (counts[0], counts[1]) if max(counts) <= MAX_PER_SIDE else None
    n = min(counts[0], MAX_PICTURES)
    columns = min(n, MAX_PER_ROW)
    return -(-n // columns), columns


def draw_pictures(part: SubFigure, sweep: Sweep, axes: list[str], layout: tuple[int, int]) -> None:
    """Draw the samples of the first job of each combination: in rows for one axis, in a grid for two axes."""
    panels: list[Axes] = part.subplots(*layout, squeeze=False).flatten().tolist()
    members = cells(sweep.members, axes)
    combinations = list(product(*(values_of(sweep, key) for key in axes)))
    for i, panel in enumerate(panels):
        panel.set(xticks=[], yticks=[], frame_on=False)
        panel.grid(False)
        # For one axis, the last row may have panels without a combination.
        key: tuple[str, ...] = combinations[i] if i < len(combinations) else ()
        if key and (len(axes) == 1 or i < layout[1]):
            panel.set_title(axis_title(axes[-1], key[-1]), fontsize=9)
        if key and len(axes) == 2 and i % layout[1] == 0:
            panel.set_ylabel(axis_title(axes[0], key[0]), fontsize=9)
        first = next((each for each in members.get(key, []) if has_picture(each)), None)
        if first is not None:
            panel.set_frame_on(True)
            show_samples(panel, first)
    common_window(panels)


def has_picture(member: Member) -> bool:
    """Return True if a finished job has samples that can be drawn."""
    return bool(member.metrics) and (plane_samples(member.folder) is not None or picture_of(member).exists())


def picture_of(member: Member) -> Path:
    """Return the path of the picture of a job's samples."""
    return member.folder / "figures" / "samples.png"


def plane_samples(folder: Path) -> np.ndarray | None:
    """Return the final states of chains in the plane; None for states of another shape or without chains."""
    path = folder / "samples.npy"
    x = np.load(path) if path.exists() else None
    if x is None or x.ndim != 2 or x.shape[1] != 2:
        return None
    return x[np.isfinite(x).all(1)][:MAX_POINTS].astype(float)


def show_samples(panel: Axes, member: Member) -> None:
    """Draw the samples of a job: points in the plane, or the picture in its folder."""
    x = plane_samples(member.folder)
    if x is None:
        panel.imshow(mpimg.imread(picture_of(member)))
        panel.spines[:].set_visible(False)
    else:
        panel.scatter(
            x[:, 0], x[:, 1], s=5 if len(x) > MAX_LARGE_POINTS else 12, alpha=0.6, color=figure.BLUE, linewidths=0
        )
        panel.set_box_aspect(1)


def common_window(panels: list[Axes]) -> None:
    """Give all scatter plots the same limits, without the outermost points."""
    clouds = [panel for panel in panels if panel.collections]
    points = [np.asarray(panel.collections[0].get_offsets()) for panel in clouds]
    if any(len(each) for each in points):
        left, right, bottom, top = figure.extent(np.concatenate(points), margin=0.1)
        for panel in clouds:
            panel.set(xlim=(left, right), ylim=(bottom, top))
