"""A sweep as one picture: its main numbers against what varies, and the samples of each member."""

import math
from pathlib import Path
from typing import Any

import matplotlib.image as mpimg
import numpy as np
from matplotlib.figure import Figure

from ebm_cli import figure

MAIN = {
    "train": ("e_data", "e_model", "loss", "steps_per_second"),
    "sample": ("energy", "std", "acceptance", "ess_bulk_min"),
    "evaluate": ("frechet_ratio", "mmd", "memorization", "tv"),
    "diagnose": ("iat_max", "ess_bulk_min", "r_hat_max", "effective_temperature"),
}
LABELS = {
    "energy": "mean energy E",
    "std": "standard deviation of x",
    "acceptance": "acceptance rate",
    "ess_bulk_min": "least bulk ESS",
    "iat_max": "largest τ, kernel steps",
    "r_hat_max": "largest R̂",
    "effective_temperature": "effective temperature",
    "frechet_ratio": "Fréchet ratio",
    "mmd": "MMD²",
    "memorization": "memorization",
    "tv": "total variation",
}


def sweep_figure(
    verb: str, keys: list[str], lines: list[dict[str, str]], metrics: list[dict[str, Any]], folders: list[Path]
) -> tuple[Figure, str] | None:
    """One panel a number against the first key that varies, and below a sample picture of each member.

    None without numbers. Members under caution are drawn hollow; refused numbers are left out.
    """
    names = [name for name in MAIN[verb] if any(m.get(name, {}).get("value") is not None for m in metrics)]
    if not names or not keys:
        return None
    places, ticks = positions(keys, lines)
    pictures = [(folder / "figures" / "samples.png", line) for folder, line in zip(folders, lines, strict=True)]
    some = [(path, line) for path, line in pictures if path.exists()][:8]
    with figure.mpl.rc_context(figure.STYLE):
        drawn = Figure(figsize=(2.9 * len(names) + 0.6, 6.0 if some else 3.0), layout="constrained")
        halves = drawn.subfigures(2 if some else 1, 1, squeeze=False)[:, 0]
        for axes, name in zip(halves[0].subplots(1, len(names), squeeze=False)[0], names, strict=True):
            panel(axes, name, places, metrics)
            axes.set(xlabel=keys[0] if len(keys) == 1 else "job", ylabel=LABELS.get(name, name))
            if ticks is not None:
                # A dollar sign in a path is no formula.
                axes.set_xticks(places, [tick.replace("$", r"\$") for tick in ticks], rotation=30, ha="right")
        columns = halves[-1].subplots(1, len(some), squeeze=False)[0] if some else []
        for axes, (path, line) in zip(columns, some, strict=True):
            axes.imshow(mpimg.imread(path))
            axes.set_title(" ".join(f"{key}={line.get(key, '')}" for key in keys).replace("$", r"\$"), fontsize=8)
            axes.axis("off")
    return drawn, caption(names, keys, metrics)


def caption(names: list[str], keys: list[str], metrics: list[dict[str, Any]]) -> str:
    """What is drawn, how far the first number goes, and what good looks like."""
    first = [np.atleast_1d(m[names[0]]["value"])[0] for m in metrics if m.get(names[0], {}).get("value") is not None]
    doubted = sum(any(row["verdict"] != "ok" for row in m.values()) for m in metrics)
    label = LABELS.get(names[0], names[0])
    return (
        f"{', '.join(LABELS.get(name, name) for name in names)} of {len(metrics)} runs over {', '.join(keys)}; "
        f"{label} from {min(first):.4g} to {max(first):.4g}. Bars are two standard errors; hollow points are under "
        f"caution, refused ones left out ({doubted} runs have some). Good: filled points on a smooth line."
    )


def positions(keys: list[str], lines: list[dict[str, str]]) -> tuple[list[float], list[str] | None]:
    """Where members stand on the axis: at their number where one key of numbers varies, else in order."""
    if len(keys) == 1:
        names = [line.get(keys[0], "") for line in lines]
        try:
            places = [float(name) for name in names]
        except ValueError:
            places = []
        if places and all(math.isfinite(place) for place in places):
            return places, None
        return [float(i) for i in range(len(lines))], names
    return [float(i) for i in range(len(lines))], [" ".join(line.get(key, "") for key in keys) for line in lines]


def panel(axes: Any, name: str, places: list[float], metrics: list[dict[str, Any]]) -> None:
    """One number with its error over the members; a list of numbers is drawn as its components."""
    rows = [
        (place, m[name]) for place, m in zip(places, metrics, strict=True) if m.get(name, {}).get("value") is not None
    ]
    width = max(len(np.atleast_1d(row["value"])) for _, row in rows)
    for component in range(min(width, 4)):
        colour = figure.CYCLE[component % len(figure.CYCLE)]
        points = []
        # Members may differ in shape: a component is drawn where they have it.
        for place, row in (pair for pair in rows if len(np.atleast_1d(pair[1]["value"])) > component):
            value = np.atleast_1d(row["value"])[component]
            error = np.atleast_1d(row["se"])[component] if row.get("se") is not None else 0.0
            fill = colour if row["verdict"] == "ok" else "white"
            axes.errorbar(place, value, yerror(error), color=colour, marker="o", markerfacecolor=fill, capsize=3)
            points.append((place, value))
        axes.plot(*zip(*sorted(points), strict=True), color=colour, linewidth=1.0, alpha=0.6)


def yerror(se: float) -> float:
    """Two standard errors."""
    return 2 * float(se)
