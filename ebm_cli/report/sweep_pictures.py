"""The samples of a sweep's combinations, side by side in the order of its axes, and how keys and values are titled."""

import math
from pathlib import Path

import matplotlib.image as mpimg
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from ebm_cli import figure
from ebm_cli.report.sweep_members import Member, Sweep, cells

# At most so many per row of one axis and in all, or per side of two axes.
PER_ROW, MOST_PICTURES, MOST_SIDE = 4, 8, 6
MOST_POINTS = 1000
# Up to so many points are drawn larger.
FEW = 100
LONGEST = 22


def picture_layout(sweep: Sweep, axes: list[str]) -> tuple[int, int] | None:
    """Rows and columns of the grid of pictures; None if there are none, or too many to see anything."""
    if not any(has_picture(each) for each in sweep.members):
        return None
    counts = [len(values_of(sweep, key)) for key in axes]
    if len(axes) == 2:
        return (counts[0], counts[1]) if max(counts) <= MOST_SIDE else None
    shown = min(counts[0], MOST_PICTURES)
    columns = min(shown, PER_ROW)
    return -(-shown // columns), columns


def draw_pictures(part: SubFigure, sweep: Sweep, axes: list[str], layout: tuple[int, int]) -> None:
    """The samples of the first job of each combination: over one axis in rows, over two in a grid."""
    panels: list[list[Axes]] = part.subplots(*layout, squeeze=False).tolist()
    members = cells(sweep.members, axes)
    values = [values_of(sweep, key) for key in axes]
    for i, line in enumerate(panels):
        for j, panel in enumerate(line):
            panel.set(xticks=[], yticks=[])
            panel.grid(False)
            if len(axes) == 2:
                key = (values[0][i], values[1][j])
                panel.set_title(titled(axes[1], key[1]) if i == 0 else "", fontsize=9)
                panel.set_ylabel(titled(axes[0], key[0]) if j == 0 else "", fontsize=9)
            else:
                key = tuple(values[0][:MOST_PICTURES][i * layout[1] + j :][:1])
                panel.set_title(titled(axes[0], key[0]) if key else "", fontsize=9)
            first = next((each for each in members.get(key, []) if has_picture(each)), None)
            if first is not None:
                show_samples(panel, first)
            else:
                panel.set_frame_on(False)
    common_window([panel for line in panels for panel in line])


def has_picture(member: Member) -> bool:
    """Whether a job that is done left samples that can be shown."""
    return bool(member.metrics) and (plane_samples(member.folder) is not None or picture_of(member).exists())


def picture_of(member: Member) -> Path:
    """Where a verb draws its samples."""
    return member.folder / "figures" / "samples.png"


def plane_samples(folder: Path) -> np.ndarray | None:
    """The final states of chains in the plane, None for other states or without chains."""
    path = folder / "samples.npy"
    x = np.load(path) if path.exists() else None
    if x is None or x.ndim != 2 or x.shape[1] != 2:
        return None
    return x[np.isfinite(x).all(1)][:MOST_POINTS].astype(float)


def show_samples(panel: Axes, member: Member) -> None:
    """A job's samples: points in the plane, or the picture that its verb drew."""
    x = plane_samples(member.folder)
    if x is None:
        panel.imshow(mpimg.imread(picture_of(member)))
        panel.spines[:].set_visible(False)
    else:
        panel.scatter(x[:, 0], x[:, 1], s=5 if len(x) > FEW else 12, alpha=0.6, color=figure.BLUE, linewidths=0)
        panel.set_box_aspect(1)


def common_window(panels: list[Axes]) -> None:
    """Let all panels of points show the same part of the plane, without the outermost points."""
    clouds = [panel for panel in panels if panel.collections]
    points = [np.asarray(panel.collections[0].get_offsets()) for panel in clouds]
    if any(len(each) for each in points):
        left, right, bottom, top = figure.extent(np.concatenate(points), margin=0.1)
        for panel in clouds:
            panel.set(xlim=(left, right), ylim=(bottom, top))


def titled(key: str, value: str) -> str:
    """A key and its value as a title."""
    return f"{plain(key)} {short(value)}"


def plain(key: str) -> str:
    """A key as a title: without its group, which the caption names."""
    return escaped(key.rpartition(".")[2].replace("_", " "))


def short(value: str) -> str:
    """A value as a title: of a path its end, at most so long."""
    end = value.rstrip("/").rpartition("/")[2]
    return escaped(end if len(end) <= LONGEST else f"…{end[1 - LONGEST :]}")


def escaped(text: str) -> str:
    """A dollar sign in a path is no formula."""
    return text.replace("$", r"\$")


def values_of(sweep: Sweep, key: str) -> list[str]:
    """The values of a key: numbers by size, others in the order of the line."""
    found = [value for (value,) in cells(sweep.members, [key])]
    return sorted(found, key=float) if are_numbers(found) else found


def are_numbers(values: list[str]) -> bool:
    try:
        return all(math.isfinite(float(value)) for value in values)
    except ValueError:
        return False
