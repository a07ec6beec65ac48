"""Chains on disk: an ArviZ file (NetCDF4), or anyone's array."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ebm_cli.check import InputError

# Beside chains.nc: the fingerprint of the chains that metrics.json judges.
JUDGED = "chains.sha256"


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of the numbers 0 … count − 1, evenly spaced, the first and the last among them."""
    return np.linspace(0, count - 1, min(count, most)).astype(int).tolist()


@dataclass(frozen=True)
class Chains:
    """Kept draws of many chains, as numpy arrays, and where they came from.

    x: (chain, draw, *event). potential: E of each draw; acceptance: its acceptance rate; diverging: proposals since the
    draw before that had no finite energy; None where unknown.
    broke: the kernel step at which a chain was first not finite, −1 for never. names: each chain's number in
    its file. thin: kernel steps between draws. gradients: evaluations a chain. steps: kernel steps a chain.
    """

    x: np.ndarray
    potential: Float[np.ndarray, "chain draw"] | None = None
    acceptance: Float[np.ndarray, "chain draw"] | None = None
    broke: Int[np.ndarray, " chain"] | None = None
    thin: int = 1
    gradients: int | None = None
    names: list[int] = field(default_factory=list)
    diverging: Int[np.ndarray, "chain draw"] | None = None

    @property
    def event(self) -> tuple[int, ...]:
        """The shape of one state."""
        return self.x.shape[2:]

    def flat(self) -> Float[np.ndarray, "chain draw size"]:
        """States as rows of numbers."""
        return self.x.reshape(*self.x.shape[:2], -1)

    def thinned(self, most: int) -> Float[np.ndarray, "chain draw *event"]:
        """At most `most` draws a chain, evenly spaced."""
        return self.x[:, evenly(self.x.shape[1], most)]

    def only(self, chains: list[int]) -> "Chains":
        """The same with these chains alone, their names kept."""
        names = self.names or list(range(len(self.x)))

        def part(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else array[chains]

        return Chains(
            x=self.x[chains],
            potential=part(self.potential),
            acceptance=part(self.acceptance),
            broke=part(self.broke),
            thin=self.thin,
            gradients=self.gradients,
            names=[names[c] for c in chains],
            diverging=part(self.diverging),
        )


def write(path: Path, chains: Chains, temperature: float, attributes: dict[str, str]) -> None:
    """Write an ArviZ file: posterior/x and, in sample_stats, lp = −E/T, energy = E/T, potential, acceptance_rate,
    diverging."""
    import h5netcdf

    count, draws = chains.x.shape[:2]
    with h5netcdf.File(path, "w") as file:
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


def read(path: Path) -> Chains:
    """Chains from an ArviZ file with posterior/x, or a .npy array (chain, draw, *event); InputError otherwise."""
    readers: dict[str, Callable[[Path], Chains]] = {".nc": _read_netcdf, ".npy": _read_array}
    if path.suffix not in readers:
        raise InputError(f"run={path} must be a run's folder, a .nc or a .npy file")
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
    if np.issubdtype(x.dtype, np.number) and not np.issubdtype(x.dtype, np.complexfloating):
        x = x.astype(np.float64)
    if x.ndim == 2:
        x = x[:, :, None]
    return Chains(x=x, names=list(range(len(x))))


def _read_netcdf(path: Path) -> Chains:
    import h5netcdf

    with h5netcdf.File(path, "r") as file:
        if "posterior" not in file.groups or "x" not in file["posterior"].variables:
            raise InputError(f"run={path} has no posterior/x")
        posterior = file["posterior"]
        stats = file["sample_stats"].variables if "sample_stats" in file.groups else {}

        def column(name: str) -> np.ndarray | None:
            return np.asarray(stats[name][...], dtype=np.float64) if name in stats else None

        x = np.asarray(posterior["x"][...], dtype=np.float64)
        if x.ndim < 2:
            raise ValueError(f"posterior/x must be of shape (chain, draw, *event), got {x.shape}")
        gradients = posterior.attrs.get("gradients_per_chain")
        return Chains(
            x=x if x.ndim > 2 else x[:, :, None],
            potential=column("potential"),
            acceptance=column("acceptance_rate"),
            thin=int(posterior.attrs.get("thin", 1)),
            gradients=None if gradients is None else int(gradients),
            names=list(range(len(x))),
        )
