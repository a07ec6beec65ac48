"""Chains on disk: an ArviZ file (NetCDF4), or an array."""

import hashlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from ebm_cli.chain._missing_draws import largest_complete_block, missing_in_all
from ebm_cli.chain._netcdf import PER_CHAIN, SPACE, TEST_PER_STEP, read_netcdf
from ebm_cli.chain.chains import Chains
from ebm_cli.check import InputError
from ebm_cli.run.writing import write_bytes

KINDS = (".nc", ".npy")


def write(path: Path, chains: Chains, temperature: float, attributes: dict[str, str]) -> None:
    """Write an ArviZ file: posterior/x, and in sample_stats lp = −E/T, energy = E/T and other numbers per draw."""
    # HDF5 crashes the process when a disk is full, so it only writes to memory.
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
        _fill_posterior(file["posterior"], chains)
        for name, values in _statistics(chains, temperature).items():
            if values is not None:
                file["sample_stats"].create_variable(name, ("chain", "draw"), data=values)
        for role, name in PER_CHAIN.items():
            if (numbers := getattr(chains, role)) is not None:
                file["sample_stats"].create_variable(name, ("chain",), data=numbers)


def _fill_posterior(posterior: Any, chains: Chains) -> None:
    axes = ["chain", "draw"]
    for axis, size in enumerate(chains.event):
        posterior.dimensions[f"x_dim_{axis}"] = size
        posterior.create_variable(f"x_dim_{axis}", (f"x_dim_{axis}",), data=np.arange(size))
        axes.append(f"x_dim_{axis}")
    posterior.create_variable("x", tuple(axes), data=chains.x)
    posterior.attrs["thin"] = chains.thin
    if chains.space != "continuous":
        posterior.attrs[SPACE] = chains.space
    if chains.test_per_step:
        posterior.attrs[TEST_PER_STEP] = 1
    if chains.gradients is not None:
        posterior.attrs["gradients_per_chain"] = chains.gradients


def _statistics(chains: Chains, temperature: float) -> dict[str, Any]:
    """Return the variables of sample_stats; unknown variables are None."""
    diverging = ~np.isfinite(chains.flat()).all(2)
    if chains.diverging is not None:
        diverging |= chains.diverging > 0
    reduced = None if chains.potential is None or not temperature else chains.potential / temperature
    return {
        "potential": chains.potential,
        "lp": None if reduced is None else -reduced,
        # ArviZ's plot_energy needs this name. Kinetic energy is not included: most kernels here have no momentum.
        "energy": reduced,
        "acceptance_rate": chains.acceptance,
        # NetCDF does not have booleans.
        "diverging": diverging.astype(np.int8),
    }


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_kind(path: Path, name: str = "") -> None:
    """Raise InputError, with what to do, unless chains can be read from a file of this kind.

    name: the path as the user typed it.
    """
    if path.suffix in KINDS:
        return
    advice = {
        ".npz": "it is an archive of arrays: np.save('chains.npy', np.load(FILE)['NAME']) saves a single array",
        ".csv": "it is a table: save its numbers with np.save as an array (chain, draw, *event)",
        ".pt": "save the tensor as np.save('chains.npy', tensor.numpy()), of shape (chain, draw, *event)",
        ".json": "arviz.from_json(FILE).to_netcdf('chains.nc') converts chains that ArviZ saved",
    }
    more = advice.get(path.suffix, "save the chains with np.save as an array (chain, draw, *event)")
    raise InputError(f"run={name or path} must be a run's folder, a .nc (ArviZ) or a .npy file; {more}")


def read(path: Path) -> Chains:
    """Return the chains of an ArviZ file's posterior or of a .npy array (chain, draw, *event). Raises InputError."""
    check_kind(path)
    readers: dict[str, Callable[[Path], Chains]] = {".nc": read_netcdf, ".npy": _read_array}
    if not path.exists():
        raise InputError(f"run={path} does not exist")
    try:
        chains = readers[path.suffix](path)
    except InputError:
        raise
    # The readers raise nearly any exception for a damaged file.
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
    return largest_complete_block(chains, missing_in_all(x)) if x.dtype.kind == "f" and x.size else chains
