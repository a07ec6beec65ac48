"""Reading the posterior of an ArviZ file (NetCDF4)."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from ebm_cli.chain._missing_draws import largest_complete_block, missing_in_all
from ebm_cli.chain.chains import Chains
from ebm_cli.check import InputError
from ebm_cli.data import SPACES

# The attribute of posterior for kernels with one test at the end of each step. Then 1 − acceptance_rate is the
# probability that a step stays in place.
TEST_PER_STEP = "one_test_per_step"
# The attribute of posterior for what states are, unless they are real numbers.
SPACE = "space"
# The variables of sample_stats with one whole number per chain, by their names in `Chains`.
PER_CHAIN = {"round_trips": "round_trips", "starts": "initial_state"}
# The first bytes of files.
HDF5, NETCDF3 = b"\x89HDF", b"CDF"


def read_netcdf(path: Path) -> Chains:
    """Return the chains of the posterior of an ArviZ file. Raises InputError or ValueError if there are none."""
    import h5netcdf

    _check_signature(path)
    with h5netcdf.File(path, "r") as file:
        if "posterior" not in file.groups:
            groups = ", ".join(map(str, file.groups)) or "none"
            raise InputError(f"run={path} has no group posterior, only {groups}: it is not an ArviZ file of chains")
        posterior = file["posterior"]
        chains, filled = _read_posterior(posterior)
        x = chains.x
        thin = _count(posterior.attrs, "thin")
        chains = dataclasses.replace(
            chains,
            thin=1 if thin is None else thin,
            space=_space(posterior.attrs),
            gradients=_count(posterior.attrs, "gradients_per_chain"),
            test_per_step=bool(np.all(np.asarray(posterior.attrs.get(TEST_PER_STEP, 0)) == 1)),
        )
        # In a file of this tool a chain is not finite from its first non-finite step on: nothing is missing.
        missing = filled if file.attrs.get("created_by") == "ebm" or not x.size else filled | missing_in_all(x)
        if "sample_stats" in file.groups:
            chains = _with_statistics(chains, file["sample_stats"].variables, missing)
            chains = _with_numbers_of_chains(chains, file["sample_stats"].variables)
    return largest_complete_block(chains, missing) if x.size else chains


def _check_signature(path: Path) -> None:
    """Raise ValueError unless the first bytes of the file mark it as NetCDF4."""
    with path.open("rb") as raw:
        signature = raw.read(4)
    if signature != HDF5:
        kind = "a NetCDF3 file: save it as NetCDF4" if signature[:3] == NETCDF3 else "not NetCDF4, despite its name"
        raise ValueError(f"it is {kind}; chains are read from a .nc (ArviZ, NetCDF4) or a .npy file")


def _read_posterior(posterior: Any) -> tuple[Chains, Bool[np.ndarray, "chain draw"]]:
    """Return the chains of all variables with real numbers, concatenated, and True for each missing draw.

    Other variables are left out with a note. Coordinates of the file's dimensions do not count as variables. Raises
    ValueError if no variable is left.
    """
    found: dict[str, np.ndarray] = {}
    wrong: dict[str, str] = {}
    missing = np.zeros((), dtype=bool)
    for name, variable in posterior.variables.items():
        if name in posterior.dimensions:
            continue
        try:
            found[name], filled = _read_values(variable, f"posterior/{name}")
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


def _space(attributes: Any) -> str:
    """Return what states are; real numbers if the file does not say it."""
    space = attributes.get(SPACE)
    return space if isinstance(space, str) and space in SPACES else "continuous"


def _coordinates(name: str, values: np.ndarray) -> list[str]:
    """Return the names of a variable's numbers, such as mu, or theta[0], theta[1], …, or tau[0,0], …"""
    shape = values.shape[2:]
    return [f"{name}[{','.join(map(str, index))}]" for index in np.ndindex(shape)] if shape else [name]


def _with_statistics(chains: Chains, stats: Any, missing: Bool[np.ndarray, "chain draw"]) -> Chains:
    """Return the chains with E and the acceptance rate of each draw, or with a note if their shape does not fit."""
    columns: dict[str, np.ndarray] = {}
    notes = []
    for name, role in (("potential", "potential"), ("acceptance_rate", "acceptance")):
        if name not in stats:
            continue
        try:
            values, filled = _read_values(stats[name], f"sample_stats/{name}")
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


def _with_numbers_of_chains(chains: Chains, stats: Any) -> Chains:
    """Return the chains with the numbers of each, such as its round trips, if the file has a whole number per chain."""
    found = {role: np.asarray(stats[name][...]) for role, name in PER_CHAIN.items() if name in stats}
    fits = {k: v for k, v in found.items() if v.shape == chains.x.shape[:1] and v.dtype.kind in "iu"}
    return dataclasses.replace(chains, **fits)


def _read_values(variable: Any, name: str) -> tuple[np.ndarray, Bool[np.ndarray, "chain draw"]]:
    """Return the values (chain, draw, …) in float64, and True for each draw with a fill value of the file.

    Dimensions are found by their names, chain and draw. Raises ValueError without them, or without real numbers.
    """
    axes = list(variable.dimensions)
    if "chain" not in axes or "draw" not in axes:
        shown = ", ".join(map(str, axes)) or "none"
        raise ValueError(f"{name} must have dimensions chain and draw, got {shown}")
    raw = np.asarray(variable[...])
    if raw.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold real numbers, got {raw.dtype}")
    values, filled = _decode(raw, variable.attrs, name)
    places = [axes.index("chain"), axes.index("draw")]
    values, filled = (np.moveaxis(array, places, (0, 1)) for array in (values, filled))
    return values, np.asarray(filled.reshape(*filled.shape[:2], -1).any(2))


def _decode(raw: np.ndarray, attributes: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return scale_factor·raw + add_offset, with NaN for fill values, and True for each fill value.

    These are the CF conventions, sections 2.5 and 8.1. A fill value of NaN is ignored, because a chain that diverged
    contains NaN as well.
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
    """Return the numbers of an attribute; an empty list if it does not exist."""
    if key not in attributes:
        return []
    found = np.atleast_1d(np.asarray(attributes[key])).ravel()
    if found.dtype.kind not in "iuf":
        raise ValueError(f"{name} must have a number as {key}, got {attributes[key]!r}")
    return list(found)


def _count(attributes: Any, key: str) -> int | None:
    """Return a whole number (≥ 1) among the attributes of posterior, if any. A list has one number per chain."""
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
