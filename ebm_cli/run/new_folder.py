"""Make the folder of a new run."""

import os
import re
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from ebm_cli.check import InputError
from ebm_cli.run.folder import NAME

# Files that can exist before config.yaml: the mark, and temporary files of `write_text`.
FIRST_FILES = re.compile(r"unfinished|\.(unfinished|config\.yaml|sweep\.yaml)\.\w+")


def new_folder(verb: str, name: str, out: str | None) -> Path:
    """Make a run's folder and return it: `out`, or outputs/VERB/DATE/TIME-NAME with a suffix if this folder exists.

    An existing `out` is used if a run was killed in it before it had written its configuration.
    """
    if NAME.fullmatch(name) is None:
        raise InputError(f"name must be of letters, digits, '.', '_' and '-' only, got {name!r}")
    if out == "":
        raise InputError("out must be a folder's name, got nothing")
    try:
        if out is not None:
            folder = Path(out)
            folder.parent.mkdir(parents=True, exist_ok=True)
            if not is_left_by_a_kill(folder):
                folder.mkdir()
            return folder.absolute()
        now = datetime.now()
        parent = Path.cwd() / "outputs" / verb / f"{now:%Y-%m-%d}"
        parent.mkdir(parents=True, exist_ok=True)
        return _make_unused(parent, f"{now:%H-%M-%S}-{name}")
    except FileExistsError as error:
        if out is not None and not os.path.lexists(out):
            raise InputError(f"out={out} cannot be made: {error.filename} is a file") from None
        raise InputError(f"out={out} exists already; choose another folder, or continue with resume={out}") from None
    except OSError as error:
        raise InputError(f"out={out or 'outputs'} cannot be made: {error.strerror} ({error.filename})") from None


def is_left_by_a_kill(folder: Path) -> bool:
    """Return True if a folder contains nothing but files that a run or a sweep writes before its configuration."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return bool(names) and all(FIRST_FILES.fullmatch(name) for name in names)


def _make_unused(parent: Path, name: str) -> Path:
    """Make the folder `name`, with a suffix if it exists, and return it."""
    for suffix in range(1, 10_000):
        folder = parent / (name if suffix == 1 else f"{name}-{suffix}")
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise InputError(f"{parent / name} and 9,999 suffixes are all taken")
