"""Scores of the rows of a user's own file: energy, log-density in the file's units, and a conformal p-value."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from ebm_cli import figure
from ebm_cli.check import InputError
from ebm_cli.data import Data, FileRows, ReadsFiles
from ebm_cli.data._files import existing_path
from ebm_cli.data._picture_folder import read_folder
from ebm_cli.data.images import LEVELS
from ebm_cli.energy import device_of
from ebm_cli.estimate import Estimate, refused
from ebm_cli.figure.finding import Finding
from ebm_cli.metric import Subject
from ebm_cli.partition import Found
from ebm_cli.partition.recipe import PLAIN
from ebm_cli.run.terminal import Stopped
from ebm_cli.wells.modes import values

SCORES = "scores.csv"
# Rows this rare are counted.
RARE = 0.05
NO_HELD_OUT = "there are no held-out rows to compare with: type run=RUN of a model that was trained on data"
# Given to columns of ours whose name the file has already.
PREFIX = "ebm_"


class Scored(NamedTuple):
    """Rows to be scored. log_unit: Σ log of the file's units per unit of the model's coordinates. unit: in words."""

    rows: FileRows
    log_unit: float
    unit: str


def score(subject: Subject, scored: Scored) -> Finding:
    """Score every row of a file, in the file's own order, next to the file's own columns.

    energy: E(x). log_density: log p(x) = −E(x)/T − log Z − Σ log s, s the file's units per unit of the model's
    coordinates, in nats; log_density_lower and log_density_upper put the bounds of log Z in the place of its value.
    p_value: (1 + number of held-out rows with E ≥ E(x))/(1 + number of held-out rows), the conformal p-value of
    p(x) (Vovk, Gammerman and Shafer, 2005, eq. 2.20): for a row drawn like the held-out ones, P(p ≤ α) ≤ α. All rows
    are scored without noise. Rows with missing values have no score.
    """
    rows, log_unit, unit = scored
    T, e = subject.temperature, energies(subject, rows.x)
    try:
        found = subject.log_z(PLAIN)
    except Stopped:
        # Energies and p-values need no log Z.
        found = Found(refused("stopped before log Z was found", "nats"))
    columns: dict[str, np.ndarray] = {"energy": e}
    columns |= log_densities(e, T, found.estimate, log_unit)
    estimates = {"rows_scored": Estimate(float(len(e))), "energy": mean(e, "energy")}
    estimates["log_density"] = mean_log_density(e, T, found.estimate, log_unit)
    notes = [*found.notes]
    notes.append(f"log_density: in nats per row, over {unit}; {subject_unit(log_unit)}")
    drawn, caption = None, ""
    held_out = None if subject.data is None else subject.data.split("held_out")
    if held_out is None:
        estimates["rare_fraction"] = refused(NO_HELD_OUT)
        notes.append(f"p_value: refused, {NO_HELD_OUT}")
    else:
        calm = energies(subject, held_out.x if held_out.clean is None else held_out.clean)
        columns["p_value"] = p = conformal(e, calm)
        rare = float((p <= RARE).mean())
        estimates["rare_fraction"] = share_of_rare(rare, len(p))
        smallest = 1 / (1 + len(calm))
        notes.append(
            f"p_value: compared with {len(calm)} held-out rows, so that its smallest possible value is {smallest:.3g}; "
            f"{rare:.1%} of the rows have p_value ≤ {RARE:g}, and {RARE:.0%} are expected of rows like these"
        )
        drawn, caption = histogram(e, calm, rare)
    table = {SCORES: beside(rows, columns, notes)}
    return Finding(estimates, drawn, caption, notes, table)


def share_of_rare(rare: float, rows: int) -> Estimate:
    """The share of rows with p_value ≤ RARE, with the error that so many rows leave."""
    usual = f"one held-out row in {1 / RARE:.0f} ({100 * RARE:.0f} % is usual)"
    meaning = f"{100 * rare:.0f} % of the rows are as rare as {usual}"
    return Estimate(rare, se=(rare * (1 - rare) / rows) ** 0.5, meaning=meaning)


def rows_of(energy: nn.Module, event: tuple[int, ...], data: Data | None, path: str) -> Scored:
    """The rows of a file as states of the model; InputError for a file that does not fit."""
    try:
        if isinstance(data, ReadsFiles):
            found = Scored(data.read_rows(path), data.log_unit, data.unit)
        else:
            found = plain_rows(path, event, data)
    except InputError as error:
        raise InputError(*(as_score(message) for message in error.messages)) from None
    rows = found.rows._replace(x=found.rows.x.to(device_of(energy)), notes=[as_score(n) for n in found.rows.notes])
    return found._replace(rows=rows)


def as_score(message: str) -> str:
    """A message about `path` as one about `score`."""
    return f"score={message.removeprefix('path=')}" if message.startswith("path=") else message


def plain_rows(path: str, event: tuple[int, ...], data: Data | None) -> Scored:
    """A folder of pictures, or an array (rows, *event) in the model's units, for a model whose data name no columns."""
    import pandas as pd

    found = existing_path(path)
    if found.is_dir():
        if len(event) != 3 or event[0] not in (1, 3):
            raise InputError(f"path={path} is a folder of pictures, but the model's states have shape {list(event)}")
        names, pixels, _ = read_folder(path, event)
        if not names:
            raise InputError(f"path={path} holds no pictures")
        x = torch.tensor(pixels, dtype=torch.get_default_dtype()) / LEVELS - 1
        rows = FileRows(x, np.ones(len(names), dtype=bool), pd.DataFrame({"file": names}), [])
        return Scored(rows, float(np.prod(event)) * float(np.log(LEVELS)), "gray levels 0…255")
    if found.suffix != ".npy":
        what = "data that name no columns" if data is None else f"{type(data).__name__}, which names no columns"
        raise InputError(
            f"path={path} cannot be matched with {what}: give an array of shape (rows, "
            f"{', '.join(map(str, event))}) as .npy{', or a folder of pictures' if len(event) == 3 else ''}"
        )
    x = read_array(path, found, event)
    complete = np.asarray(np.isfinite(x).reshape(len(x), -1).all(1))
    states = torch.tensor(x[complete], dtype=torch.get_default_dtype())
    rows = FileRows(states, complete, pd.DataFrame({"row": np.arange(len(x))}), [])
    return Scored(rows, 0.0, "the model's own units")


def read_array(path: str, found: Path, event: tuple[int, ...]) -> Float[np.ndarray, "n *event"]:
    """The array in a .npy file; InputError unless it holds numbers of shape (rows, *event)."""
    try:
        with found.open("rb") as file:
            x = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"path={path} cannot be read: {str(error).splitlines()[0][:200]}") from None
    if x.shape[1:] != tuple(event) or len(x) == 0 or not (np.issubdtype(x.dtype, np.number) and np.isrealobj(x)):
        raise InputError(
            f"path={path} must hold real numbers of shape (rows, {', '.join(map(str, event))}), got {x.dtype} of shape "
            f"{x.shape}"
        )
    return x.astype(float)


def energies(subject: Subject, x: Float[Tensor, "n *event"]) -> Float[np.ndarray, " n"]:
    """E of each row, in double precision."""
    return values(subject.energy, x).double().cpu().numpy()


def conformal(e: Float[np.ndarray, " n"], held_out: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
    """(1 + number of held-out rows no likelier than each row)/(1 + m)."""
    # An energy that is not a number counts as less likely than all.
    e, held_out = (np.where(np.isnan(each), np.inf, each) for each in (e, held_out))
    no_likelier = len(held_out) - np.searchsorted(np.sort(held_out), e, side="left")
    return (1 + no_likelier) / (1 + len(held_out))


def log_densities(
    e: Float[np.ndarray, " n"], T: float, log_z: Estimate, log_unit: float
) -> dict[str, Float[np.ndarray, " n"]]:
    """The columns of log-densities; none without a value of log Z."""
    ends = {"log_density": log_z.value, "log_density_lower": log_z.upper, "log_density_upper": log_z.lower}
    return {name: -e / T - end - log_unit for name, end in ends.items() if isinstance(end, float)}


def mean(e: Float[np.ndarray, " n"], unit: str) -> Estimate:
    """The mean over rows with its standard error."""
    if not np.isfinite(e).all():
        return refused(f"the energy of {(~np.isfinite(e)).sum()} of {len(e)} rows is not finite", unit)
    return Estimate(float(e.mean()), se=float(e.std(ddof=1) / len(e) ** 0.5) if len(e) > 1 else None, unit=unit)


def mean_log_density(e: Float[np.ndarray, " n"], T: float, log_z: Estimate, log_unit: float) -> Estimate:
    """The mean log-density of the rows, with the bounds and the verdict of log Z."""
    middle = mean(-e / T, "nats")
    if not isinstance(log_z.value, float) or not isinstance(middle.value, float):
        return refused(f"no log Z: {log_z.reason}" if middle.verdict == "ok" else middle.reason, "nats")
    lower, upper = (None if end is None else middle.value - end - log_unit for end in (log_z.upper, log_z.lower))
    value = middle.value - log_z.value - log_unit
    shown = (f"log Z: {log_z.reason}",) if log_z.verdict == "caution" else ()
    return Estimate(value, middle.se, lower, upper, "nats", log_z.verdict, shown)


def subject_unit(log_unit: float) -> str:
    """How the file's units change a log-density, in words."""
    if log_unit == 0:
        return "these are the model's units too"
    return f"the model's own units give {abs(log_unit):.6g} nats {'more' if log_unit > 0 else 'less'}"


def beside(rows: FileRows, columns: dict[str, np.ndarray], notes: list[str]) -> Any:
    """The file's own columns and, after them, ours; empty for rows that have no score."""
    table = rows.table.copy()
    for name, scores in columns.items():
        full = np.full(len(rows.complete), np.nan)
        full[rows.complete] = scores
        own = name
        while own in table.columns:
            own = PREFIX + own
        if own != name:
            notes.append(f"score: the file has a column {name!r} of its own, so that ours is called {own!r}")
        table.insert(len(table.columns), own, full)
    return table


def histogram(e: Float[np.ndarray, " n"], held_out: Float[np.ndarray, " m"], rare: float) -> tuple[Figure | None, str]:
    """Energies of the scored rows and of the held-out ones, on one axis; None if none is finite."""
    both = np.concatenate([each[np.isfinite(each)] for each in (e, held_out)])
    if len(both) == 0:
        return None, ""
    drawn, (axes,) = figure.new()
    # Rows that lie thousands of nats off would press all others into one bin.
    low, high = np.quantile(both, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + 1, 41)
    for each, label, color in ((held_out, "held-out rows", figure.BLUE), (e, "scored rows", figure.ORANGE)):
        axes.hist(np.clip(each, edges[0], edges[-1]), edges, density=True, alpha=0.55, color=color, label=label)
    axes.set(xlabel="energy E(x); outer bins hold all that lies beyond", ylabel="density of rows")
    axes.legend()
    return drawn, (
        f"Energies of the {len(e)} scored rows and of {len(held_out)} held-out rows. {rare:.1%} of the scored rows "
        f"have p_value ≤ {RARE:g}. Look for scored rows on the right: they are less likely than held-out rows."
    )
