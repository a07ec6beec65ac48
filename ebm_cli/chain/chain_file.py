"""Chains on disk: an ArviZ file (NetCDF4), or anyone's array."""

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ebm_cli.check import InputError
from ebm_cli.estimate import rounded_up
from ebm_cli.run.writing import write_bytes

# Beside chains.nc: the fingerprint of the chains that metrics.json judges.
JUDGED = "chains.sha256"
# The attribute of posterior that says that every kernel step ends in one test, so that 1 − acceptance_rate is the
# probability with which a step stays.
TEST_PER_STEP = "one_test_per_step"
KINDS = (".nc", ".npy")
# How files of other kinds begin.
HDF5, NETCDF3 = b"\x89HDF", b"CDF"
MOST_EDGES = 200
LEAST_TO_COMPARE = 2


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of the numbers 0 … count − 1, evenly spaced, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, most)).astype(int).tolist()


@dataclass(frozen=True)
class Chains:
    """Kept draws of many chains, as numpy arrays, and where they came from.

    x: (chain, draw, *event). potential: E of each draw; acceptance: its acceptance rate; diverging: proposals since the
    draw before that had no finite energy; None where unknown.
    broke: the kernel step at which a chain was first not finite, −1 for never. names: each chain's number in
    its file. thin: kernel steps between draws. gradients: evaluations per chain. test_per_step: whether 1 − acceptance
    is the probability with which a kernel step stays. remarks: what is missing in the file, to doubt every number for.
    notes: what of the file is not used. coordinates: the name of each number of a state, x, or x[i], if it is empty.
    """

    x: np.ndarray
    potential: Float[np.ndarray, "chain draw"] | None = None
    acceptance: Float[np.ndarray, "chain draw"] | None = None
    broke: Int[np.ndarray, " chain"] | None = None
    thin: int = 1
    gradients: int | None = None
    names: list[int] = field(default_factory=list)
    diverging: Int[np.ndarray, "chain draw"] | None = None
    test_per_step: bool = False
    remarks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    coordinates: list[str] = field(default_factory=list)

    @property
    def event(self) -> tuple[int, ...]:
        """The shape of one state."""
        return self.x.shape[2:]

    def longer(self, times: float) -> str:
        """What to type for chains that are this many times as long."""
        return f"type steps={rounded_up(max(times, 1.1) * self.x.shape[1] * self.thin)}"

    def after_burn_in(self) -> str:
        """What to type for chains whose first part is left out."""
        return f"type burn_in={rounded_up(2 * self.x.shape[1] * self.thin)}"

    def flat(self) -> Float[np.ndarray, "chain draw size"]:
        """States as rows of numbers."""
        return self.x.reshape(*self.x.shape[:2], -1)

    def coordinate(self, number: int) -> str:
        """Return the name of one number of a state."""
        if self.coordinates:
            return self.coordinates[number]
        return f"x[{number}]" if np.prod(self.event, dtype=int) > 1 else "x"

    def thinned(self, most: int) -> Float[np.ndarray, "chain draw *event"]:
        """At most `most` draws a chain, evenly spaced."""
        return self.x[:, evenly(self.x.shape[1], most)]

    def only(self, chains: list[int]) -> "Chains":
        """The same with these chains alone, their names kept."""
        names = self.names or list(range(len(self.x)))

        def part(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else array[chains]

        return dataclasses.replace(
            self,
            x=self.x[chains],
            potential=part(self.potential),
            acceptance=part(self.acceptance),
            broke=part(self.broke),
            names=[names[c] for c in chains],
            diverging=part(self.diverging),
        )


def write(path: Path, chains: Chains, temperature: float, attributes: dict[str, str]) -> None:
    """Write an ArviZ file: posterior/x and, in sample_stats, lp = −E/T, energy = E/T, potential, acceptance_rate,
    diverging."""
    # HDF5 crashes the process at its end when a disk is full, so it never writes to one.
    content = BytesIO()
    _fill(content, chains, temperature, attributes)
    write_bytes(path, content.getbuffer())


def _fill(content: BytesIO, chains: Chains, temperature: float, attributes: dict[str, str]) -> None:
    import h5netcdf

    count, draws = chains.x.shape[:2]
    with h5netcdf.File(content, "w") as file:
        file.attrs.update({"created_by": "ebm", **attributes})
        for name in ("posterior", "sample_stats"):
            group = file.create_group(name)
            group.dimensions = {"chain": count, "draw": draws}
            group.create_variable("chain", ("chain",), data=np.arange(count))
            group.create_variable("draw", ("draw",), data=np.arange(draws))
        posterior, stats = file["posterior"], file["sample_stats"]
        axes = ["chain", "draw"]
        for axis, size in enumerate(chains.event):
            posterior.dimensions[f"x_dim_{axis}"] = size
            posterior.create_variable(f"x_dim_{axis}", (f"x_dim_{axis}",), data=np.arange(size))
            axes.append(f"x_dim_{axis}")
        posterior.create_variable("x", tuple(axes), data=chains.x)
        posterior.attrs["thin"] = chains.thin
        if chains.test_per_step:
            posterior.attrs[TEST_PER_STEP] = 1
        if chains.gradients is not None:
            posterior.attrs["gradients_per_chain"] = chains.gradients
        bad = ~np.isfinite(chains.flat()).all(2)
        if chains.diverging is not None:
            bad |= chains.diverging > 0
        columns: dict[str, Any] = {
            "potential": chains.potential,
            "lp": None if chains.potential is None or not temperature else -chains.potential / temperature,
            # What ArviZ's plot_energy looks for; of the positions alone, as most kernels here have no momentum.
            "energy": None if chains.potential is None or not temperature else chains.potential / temperature,
            "acceptance_rate": chains.acceptance,
            # NetCDF has no booleans.
            "diverging": bad.astype(np.int8),
        }
        for name, values in columns.items():
            if values is not None:
                stats.create_variable(name, ("chain", "draw"), data=values)


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_kind(path: Path, name: str = "") -> None:
    """Raise InputError, with what to do, for a file that is of no kind that chains are read from.

    name: how the user wrote it.
    """
    if path.suffix in KINDS:
        return
    advice = {
        ".npz": "it is an archive of arrays: np.save('chains.npy', np.load(FILE)['NAME']) saves one of them",
        ".csv": "it is a table: save its numbers with np.save as an array (chain, draw, *event)",
        ".pt": "save the tensor as np.save('chains.npy', tensor.numpy()), of shape (chain, draw, *event)",
        ".json": "arviz.from_json(FILE).to_netcdf('chains.nc') turns chains that ArviZ saved into one",
    }
    more = advice.get(path.suffix, "save the chains with np.save, as an array (chain, draw, *event)")
    raise InputError(f"run={name or path} must be a run's folder, a .nc (ArviZ) or a .npy file; {more}")


def read(path: Path) -> Chains:
    """Chains from the posterior of an ArviZ file, or a .npy array (chain, draw, *event); InputError otherwise."""
    check_kind(path)
    readers: dict[str, Callable[[Path], Chains]] = {".nc": _read_netcdf, ".npy": _read_array}
    if not path.exists():
        raise InputError(f"run={path} is not there")
    try:
        chains = readers[path.suffix](path)
    except InputError:
        raise
    # On a damaged file the readers raise nearly anything.
    except Exception as error:
        raise InputError(f"run={path} cannot be read: {' '.join(str(error).split())[:200]}") from None
    if chains.x.ndim < 2 or 0 in chains.x.shape or not np.issubdtype(chains.x.dtype, np.floating):
        raise InputError(
            f"run={path} must hold numbers of shape (chain, draw, *event), got {chains.x.dtype} of shape "
            f"{chains.x.shape}"
        )
    return chains


def _read_array(path: Path) -> Chains:
    x = np.load(path, allow_pickle=False)
    if not isinstance(x, np.ndarray):
        x.close()
        raise ValueError("it is an archive of arrays, not one array")
    if x.ndim < 2:
        raise ValueError(f"it must hold numbers of shape (chain, draw, *event), got shape {x.shape}")
    if x.dtype.kind in "iuf":
        x = x.astype(np.float64)
    if x.ndim == 2:
        x = x[:, :, None]
    chains = Chains(x=x, names=list(range(len(x))))
    return complete(chains, no_draw(x)) if x.dtype.kind == "f" and x.size else chains


def _read_netcdf(path: Path) -> Chains:
    import h5netcdf

    with path.open("rb") as raw:
        begins = raw.read(4)
    if begins != HDF5:
        kind = (
            "a NetCDF3 file: save it as NetCDF4" if begins[:3] == NETCDF3 else "no NetCDF4 file, whatever its name says"
        )
        raise ValueError(f"it is {kind}; chains are read from a .nc (ArviZ, NetCDF4) or a .npy file")
    with h5netcdf.File(path, "r") as file:
        if "posterior" not in file.groups:
            groups = ", ".join(map(str, file.groups)) or "none"
            raise InputError(f"run={path} has no group posterior, only {groups}: it is no ArviZ file of chains")
        posterior = file["posterior"]
        chains, filled = _of_posterior(posterior)
        x = chains.x
        thin = _count(posterior.attrs, "thin")
        chains = dataclasses.replace(
            chains,
            thin=1 if thin is None else thin,
            gradients=_count(posterior.attrs, "gradients_per_chain"),
            test_per_step=bool(np.all(np.asarray(posterior.attrs.get(TEST_PER_STEP, 0)) == 1)),
        )
        # In a file of ours a chain that broke is not finite from then on.
        missing = filled if file.attrs.get("created_by") == "ebm" or not x.size else filled | no_draw(x)
        if "sample_stats" in file.groups:
            chains = _with_statistics(chains, file["sample_stats"].variables, missing)
    return complete(chains, missing) if x.size else chains


def _of_posterior(posterior: Any) -> tuple[Chains, Bool[np.ndarray, "chain draw"]]:
    """Return the chains of every variable that holds real numbers, side by side, and where a draw is missing.

    Other variables are left out with a note; coordinates of the file's dimensions are none. ValueError if none is left.
    """
    found: dict[str, np.ndarray] = {}
    wrong: dict[str, str] = {}
    missing = np.zeros((), dtype=bool)
    for name, variable in posterior.variables.items():
        if name in posterior.dimensions:
            continue
        try:
            found[name], filled = _by_chain_and_draw(variable, f"posterior/{name}")
        except ValueError as error:
            wrong[name] = str(error)
            continue
        missing = missing | filled
    if not found:
        raise ValueError("; ".join([*wrong.values()][:2]) or "its group posterior has no variable")
    notes = [
        f"left out: {reason}"
        for name, reason in wrong.items()
        if {"chain", "draw"} & set(posterior.variables[name].dimensions)
    ]
    only = next(iter(found.values()))
    x = only if len(found) == 1 else np.concatenate([v.reshape(*v.shape[:2], -1) for v in found.values()], 2)
    x = x if x.ndim > 2 else x[:, :, None]
    names = [] if list(found) == ["x"] else [c for name, values in found.items() for c in _coordinates(name, values)]
    return Chains(x=x, names=list(range(len(x))), notes=notes, coordinates=names), missing


def _coordinates(name: str, values: np.ndarray) -> list[str]:
    """Return mu, or theta[0], theta[1], … or tau[0,0], …: the names of a variable's numbers."""
    shape = values.shape[2:]
    return [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(shape)] if shape else [name]


def _with_statistics(chains: Chains, stats: Any, missing: Bool[np.ndarray, "chain draw"]) -> Chains:
    """The chains with E and the acceptance rate of each draw; a note on what is not of their shape."""
    columns: dict[str, np.ndarray] = {}
    notes = []
    for name, role in (("potential", "potential"), ("acceptance_rate", "acceptance")):
        if name not in stats:
            continue
        try:
            values, filled = _by_chain_and_draw(stats[name], f"sample_stats/{name}")
        except ValueError as error:
            notes.append(f"left out: {error}")
            continue
        if values.shape != chains.x.shape[:2]:
            notes.append(
                f"left out: sample_stats/{name} has shape {values.shape}, "
                f"posterior has {chains.x.shape[:2]} chains and draws"
            )
        elif (filled & ~missing).any():
            notes.append(f"left out: sample_stats/{name} misses values of draws that posterior has")
        else:
            columns[role] = values
    return dataclasses.replace(chains, **columns, notes=[*chains.notes, *notes])


def _by_chain_and_draw(variable: Any, name: str) -> tuple[np.ndarray, Bool[np.ndarray, "chain draw"]]:
    """Return the values (chain, draw, …) in float64, and where a draw is one of the file's fill values.

    Dimensions are told apart by their names, as ArviZ does. ValueError without these, or without real numbers.
    """
    axes = list(variable.dimensions)
    if "chain" not in axes or "draw" not in axes:
        shown = ", ".join(map(str, axes)) or "none"
        raise ValueError(f"{name} must have dimensions chain and draw, got {shown}")
    raw = np.asarray(variable[...])
    if raw.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold real numbers, got {raw.dtype}")
    values, filled = _decoded(raw, variable.attrs, name)
    order = ("chain", "draw")
    ends = [axes.index(axis) for axis in order]
    values, filled = (np.moveaxis(array, ends, (0, 1)) for array in (values, filled))
    return values, np.asarray(filled.reshape(*filled.shape[:2], -1).any(2))


def _decoded(raw: np.ndarray, attributes: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return scale_factor·raw + add_offset, NaN where raw is a fill value, and where that is.

    These are the CF conventions, sections 2.5 and 8.1. NaN as the fill value marks nothing: it is also what a chain
    that broke holds.
    """
    values = raw.astype(np.float64)
    filled = np.zeros(raw.shape, dtype=bool)
    for key in ("_FillValue", "missing_value"):
        for fill in _numbers(attributes, key, name):
            if np.isfinite(fill):
                filled |= raw == np.asarray(fill).astype(raw.dtype)
    for key, change in (("scale_factor", np.multiply), ("add_offset", np.add)):
        for number in _numbers(attributes, key, name)[:1]:
            values = change(values, float(number))
    return np.where(filled, np.nan, values), filled


def _numbers(attributes: Any, key: str, name: str) -> list[Any]:
    """The numbers of an attribute, none if it is not there."""
    if key not in attributes:
        return []
    found = np.atleast_1d(np.asarray(attributes[key])).ravel()
    if found.dtype.kind not in "iuf":
        raise ValueError(f"{name} has {key} = {attributes[key]!r}, which is not a number")
    return list(found)


def _count(attributes: Any, key: str) -> int | None:
    """Return a whole number >= 1 among the attributes of posterior, or None. A list holds one number of each chain."""
    if key not in attributes:
        return None
    given = attributes[key]
    try:
        found = np.unique(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError):
        found = np.array([])
    if found.size != 1 or not np.isfinite(found[0]) or found[0] < 1 or found[0] % 1:
        raise ValueError(f"{key} of posterior must be a whole number >= 1, got {given}")
    return int(found[0])


def no_draw(x: Float[np.ndarray, "chain draw *event"]) -> Bool[np.ndarray, "chain draw"]:
    """Where no chain has a draw: there all of them are NaN in every coordinate."""
    nowhere = np.isnan(x.reshape(*x.shape[:2], -1)).all((0, 2))
    return np.broadcast_to(nowhere, x.shape[:2]).copy()


def complete(chains: Chains, missing: Bool[np.ndarray, "chain draw"]) -> Chains:
    """The largest block of chains and consecutive draws in which no draw is missing, and a remark on what is left out.

    A block of at least two chains is preferred, as fewer cannot be compared. ValueError if every draw is missing.
    """
    if not missing.any():
        return chains
    if missing.all():
        raise ValueError("every draw is missing")
    count, draws = missing.shape
    before = np.concatenate([np.zeros((count, 1), dtype=np.int64), np.cumsum(missing, 1)], 1)
    edges = np.flatnonzero((missing[:, 1:] != missing[:, :-1]).any(0)) + 1
    edges = [0, *edges[evenly(len(edges), MOST_EDGES)].tolist(), draws] if len(edges) else [0, draws]
    blocks = []
    for i, first in enumerate(edges[:-1]):
        for last in edges[i + 1 :]:
            kept = int((before[:, last] == before[:, first]).sum())
            blocks.append((kept >= LEAST_TO_COMPARE, kept * (last - first), last - first, first))
    _, size, length, first = max(blocks)
    if not size:
        raise ValueError("draws are missing in so many places that no two in a row are left")
    kept = np.flatnonzero(before[:, first + length] == before[:, first]).tolist()
    part = chains.only(kept)
    window = slice(first, first + length)
    names = ", ".join(map(str, part.names[:8])) + (" …" if len(kept) > 8 else "")
    whose = f"all {count} chains" if len(kept) == count else f"{len(kept)} of {count} chains ({names})"
    remark = (
        f"{int(missing.sum())} of {missing.size} draws are missing in the file: "
        f"draws {first} to {first + length - 1} of {whose} are used"
    )
    cut = {
        name: None if (values := getattr(part, name)) is None else values[:, window]
        for name in ("x", "potential", "acceptance", "diverging")
    }
    return dataclasses.replace(part, **cut, remarks=[*part.remarks, remark])
