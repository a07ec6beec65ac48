"""Messages about a user's own files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ebm_cli.check import InputError, nearest_hint


def existing_path(path: str) -> Path:
    """Return the user's file or folder with `~` expanded; raise InputError, with the nearest name, if there is none."""
    found = Path(path).expanduser()
    if not found.exists():
        siblings = [other.name for other in found.parent.iterdir()] if found.parent.is_dir() else []
        raise InputError(f"path={path} does not exist{nearest_hint(found.name, siblings)}")
    return found


def saved_array(name: str, file: Path) -> np.ndarray:
    """Return the array in a .npy file; raise InputError, which starts with `name`, if there is none in it."""
    try:
        with file.open("rb") as opened:
            return np.lib.format.read_array(opened, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{name} cannot be read as .npy: {str(error).splitlines()[0][:200]}") from None


def raise_faults(path: str, faults: Sequence[str]) -> None:
    """Raise one InputError with all faults of a file, if there are any."""
    if faults:
        raise InputError(*(f"path={path} {fault}" for fault in faults))


def join_names(names: Sequence[str], n_shown: int = 5) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - n_shown} more" if len(names) > n_shown else ""
    return ", ".join(names[:n_shown]) + more
