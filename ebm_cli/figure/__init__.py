"""Figures in one style: colorblind-safe, with named axes, legible in print, and without pyplot's global state."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from torch import nn

from ebm_cli.data import is_image
from ebm_cli.energy import device_of
from ebm_cli.estimate import Picture
from ebm_cli.run.folder import Run
from ebm_cli.run.history import last_tenth

STYLE: Any = mpl.rc_params_from_file(Path(__file__).with_name("ebm.mplstyle"), use_default_template=False)
CYCLE: tuple[str, ...] = tuple(STYLE["axes.prop_cycle"].by_key()["color"])
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = CYCLE
BLACK = "#000000"
MAX_NAMED_VALUES = 12
MAX_LEVEL = 12


def new(columns: int = 1, width: float = 6.4, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """Return a figure and its `columns` axes in one row; sizes in inches."""
    picture, axes = panels(1, columns, width, height)
    return picture, list(axes[0])


def panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """Return a figure and its rows × columns axes; sizes in inches."""
    with mpl.rc_context(STYLE):
        picture = Figure(figsize=(width, height), layout="constrained")
        return picture, picture.subplots(rows, columns, squeeze=False)


def save(run: Run, pictures: dict[str, Picture]) -> None:
    """Write figures/NAME.png, the same picture in the format of the key `figures`, and the captions."""
    run.figures.mkdir(exist_ok=True)
    captions, kinds = run.captions(), dict.fromkeys(("png", run.figure_format()))
    for name, (picture, caption) in pictures.items():
        for legend in [*picture.legends, *(axes.get_legend() for axes in picture.axes)]:
            if legend is not None:
                legend.set_frame_on(STYLE["legend.frameon"])
        with mpl.rc_context(STYLE):
            for kind in kinds:
                picture.savefig(run.figures / f"{name}.{kind}", dpi=150)
        captions[name] = caption
    run.write_captions(captions)


def can_show(event: tuple[int, ...]) -> bool:
    """Return True if states of this shape can be drawn: images, or one or two numbers."""
    return is_image(event) or (len(event) == 1 and event[0] <= 2)


def as_pictures(x: Float[np.ndarray, "n c h w"]) -> np.ndarray:
    """Return (n, height, width) or (n, height, width, 3), scaled to [0, 1]; the outermost 0.1 % of x are clipped."""
    low, high = np.quantile(x, [0.001, 0.999])
    levels = np.clip((x - low) / max(high - low, 1e-12), 0, 1)
    return levels[:, 0] if levels.shape[1] == 1 else np.moveaxis(levels, 1, -1)


def states(
    x: np.ndarray, event: tuple[int, ...], max_images: int = 60, like: np.ndarray | None = None, columns: int = 10
) -> Figure:
    """Draw a grid of images, a scatter plot of points in the plane, or a histogram of numbers.

    max_images: maximum number of images. columns: images per row.
    like: points to which the window is fitted; None for x.
    """
    if is_image(event):
        return grid(x[:max_images], columns)
    if event == (2,):
        box = extent(x if like is None else like, x)
        picture, (axes,) = new(width=4.6, height=min(max(3.9 * (box[3] - box[2]) / (box[1] - box[0]), 1.6), 6.0) + 0.6)
        axes.scatter(x[:, 0], x[:, 1], s=6, alpha=0.6, color=BLUE, linewidths=0)
        axes.set(xlabel="x₁", ylabel="x₂", aspect="equal", xlim=box[:2], ylim=box[2:])
    else:
        picture, (axes,) = new(width=4.2, height=4.0)
        axes.hist(x.reshape(len(x), -1)[:, 0], bins=40, density=True, color=BLUE)
        axes.set(xlabel="x", ylabel="density")
    return picture


def angle_ticks(*axes: Axis) -> None:
    """Mark multiples of π/2 on these axes of angles in radians."""
    for axis in axes:
        axis.set_ticks([k * np.pi / 2 for k in range(-2, 3)], ["−π", "−π/2", "0", "π/2", "π"])


def grid(images: np.ndarray, columns: int = 10, colors: str = "gray") -> Figure:
    """Draw images in [0, 1], (n, height, width) or (n, height, width, 3), in rows, without interpolation.

    colors: the colormap of images of one channel.
    """
    canvas = tiled(images, columns, 1.0 if colors == "gray" else np.nan)
    picture, (axes,) = new(width=4.8, height=4.8 * canvas.shape[0] / canvas.shape[1])
    axes.imshow(canvas, cmap=colors, vmin=0, vmax=1, interpolation="nearest")
    axes.axis("off")
    return picture


def tiled(images: np.ndarray, columns: int, between: float = 1.0) -> np.ndarray:
    """Return images, (n, height, width) or (n, height, width, 3), as one, in rows.

    between: level of the gaps between images.
    """
    rows = -(-len(images) // columns)
    height, width = images.shape[1:3]
    gap = max(1, height // 8)
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap, *images.shape[3:])
    canvas = np.full(shape, between, dtype=np.float32)
    for i, image in enumerate(images):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def window(
    points: Float[np.ndarray, "n d"], others: Float[np.ndarray, "m d"] | None = None, margin: float = 0.25
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest value of each coordinate to show, without the outermost 0.1 % of the points.

    others: points that widen the window by up to one more margin on each side.
    margin: margin on each side, as a fraction of the range of the points.
    """
    low, high = np.quantile(points, [0.001, 0.999], axis=0)
    pad = margin * np.maximum(high - low, 1e-3)
    if others is not None and len(others):
        far, away = np.quantile(others, [0.001, 0.999], axis=0)
        low, high = np.clip(far, low - pad, low), np.clip(away, high, high + pad)
    return low - pad, high + pad


def extent(
    points: Float[np.ndarray, "n 2"], others: Float[np.ndarray, "m 2"] | None = None, margin: float = 0.25
) -> tuple[float, float, float, float]:
    """Return (left, right, bottom, top) of the window in the plane."""
    low, high = window(points, others, margin)
    return float(low[0]), float(high[0]), float(low[1]), float(high[1])


def energy_on_grid(
    energy: nn.Module, box: tuple[float, float, float, float], size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both coordinates and E on a size × size grid over `box`."""
    u, v = np.linspace(box[0], box[1], size), np.linspace(box[2], box[3], size)
    points = np.stack(np.meshgrid(u, v), -1).reshape(-1, 2)
    with torch.no_grad():
        x = torch.as_tensor(points, dtype=torch.get_default_dtype(), device=device_of(energy))
        e = torch.cat([energy(part) for part in x.split(65536)])
    return u, v, e.cpu().numpy().reshape(size, size)


def contours(axes: Axes, u: np.ndarray, v: np.ndarray, level: Float[np.ndarray, "rows columns"]) -> Any:
    """Fill contours of a level (≥ 0) in gray, one per unit up to MAX_LEVEL."""
    levels = np.arange(0, MAX_LEVEL + 0.5, 1)
    return axes.contourf(u, v, np.minimum(level, MAX_LEVEL), levels=levels, cmap="Greys", alpha=0.6)


def plot_values(axes: Axes, values: dict[str, float], xlabel: str) -> None:
    """Draw one number per coordinate: named dots for up to 12 numbers, otherwise a histogram."""
    if len(values) <= MAX_NAMED_VALUES:
        names = list(values)
        axes.plot([values[name] for name in names], range(len(names)), "o", color=BLUE)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel=xlabel, ylim=(len(names) - 0.5, -0.5))
    else:
        axes.hist(list(values.values()), bins=30, color=BLUE)
        axes.set(xlabel=xlabel, ylabel="coordinates")


def training(history: list[dict[str, Any]]) -> Picture:
    """Draw both phases and their gap over training, or the loss and its gradient norm for training without chains."""
    rows = [row for row in history if "loss" in row]
    drawn, (left, right) = new(2, width=8.4, height=3.2)
    caption = (_phases if any("e_model" in row for row in rows) else _loss)(left, right, rows)
    left.legend()
    right.legend()
    return drawn, caption


def _phases(left: Axes, right: Axes, rows: list[dict[str, Any]]) -> str:
    curve(left, rows, "e_data", "data", BLUE)
    curve(left, rows, "e_model", "model's chains", ORANGE)
    limits = limits_after_transient(rows, "e_data", "e_model")
    left.set(xlabel="training step", ylabel="mean energy E", ylim=limits)
    curve(right, rows, "gap", "e_model − e_data", GREEN)
    right.axhline(0, color=BLACK, linewidth=0.8)
    right.set(xlabel="training step", ylabel="gap", ylim=limits_after_transient(rows, "gap"))
    gaps = [row["gap"] for row in last_tenth(rows) if "gap" in row]
    level = f" ({np.mean(gaps):.3g} over the last tenth)" if gaps else ""
    return (
        f"Mean energy of data and of the model's chains (left) and their gap{level} (right). Look for two curves that "
        "stay together and a gap that fluctuates around 0. Both axes are cut to the values after the first tenth. The "
        "gap compares the phases; it is not a loss to minimize."
    )


def _loss(left: Axes, right: Axes, rows: list[dict[str, Any]]) -> str:
    curve(left, rows, "loss", "loss", BLUE)
    left.set(xlabel="training step", ylabel="loss")
    curve(right, rows, "grad_norm", "gradient norm", ORANGE)
    right.set(xlabel="training step", ylabel="gradient norm")
    return (
        f"Loss (left), {np.mean([row['loss'] for row in last_tenth(rows)]):.4g} over the last tenth, and norm of its "
        "gradient (right) over training. Look for a loss that falls and then levels off."
    )


def limits_after_transient(rows: list[dict[str, Any]], *names: str) -> tuple[float, float]:
    """Return limits of the values after the first tenth of training. The values before it would flatten the rest."""
    later = rows[len(rows) // 10 :]
    return padded_limits(np.array([row[name] for row in later for name in names if name in row]))


def padded_limits(values: np.ndarray) -> tuple[float, float]:
    """Return limits of an axis that shows all values (not all NaN), with a margin."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    pad = 0.08 * (high - low) or 0.5 * abs(high) or 1.0
    return low - pad, high + pad


def curve(axes: Axes, rows: list[dict[str, Any]], name: str, label: str, color: str) -> None:
    """Draw one logged scalar, thin, and its running mean."""
    steps = np.array([row["step"] for row in rows if name in row])
    values = np.array([row[name] for row in rows if name in row], dtype=float)
    window = max(1, len(values) // 30)
    axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
    if window > 1:
        mean = np.convolve(values, np.ones(window) / window, mode="valid")
        axes.plot(steps[window - 1 :], mean, color=color, linewidth=1.6, label=label)
    else:
        axes.lines[-1].set(alpha=1.0, label=label)


def two_histograms(axes: Axes, filled: np.ndarray, line: np.ndarray, labels: tuple[str, str]) -> None:
    """Draw the histograms of two sets of distances (≥ 0), `filled` and as a `line`, without the outermost 1 %."""
    bins = np.linspace(0, max(np.quantile(line, 0.99), np.quantile(filled, 0.99)) * 1.05, 40).tolist()
    axes.hist(filled, bins=bins, density=True, alpha=0.55, color=BLUE, label=labels[0])
    axes.hist(line, bins=bins, density=True, histtype="step", color=RED, linewidth=1.6, label=labels[1])
    axes.legend()
