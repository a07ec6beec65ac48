"""The folder of a new run."""

import os
import re
from datetime import datetime
from pathlib import Path

from ebm_cli.check import InputError
from ebm_cli.run.folder import NAME

# The mark, and files that `write_text` has not renamed yet.
BEFORE_CONFIG = re.compile(r"unfinished|\.(unfinished|config\.yaml|sweep\.yaml)\.\w+")


def new_folder(verb: str, name: str, out: str | None, root: Path | None = None) -> Path:
    """Make a run's folder exclusively: `out` itself, or outputs/VERB/DATE/TIME-NAME with a suffix if taken.

    An `out` that a kill left before its configuration was written is used again.
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
        parent = (root or Path.cwd() / "outputs") / verb / now.strftime("%Y-%m-%d")
        parent.mkdir(parents=True, exist_ok=True)
        return _first_free(parent, f"{now:%H-%M-%S}-{name}")
    except FileExistsError as error:
        if out is not None and not os.path.lexists(out):
            raise InputError(f"out={out} cannot be made: {error.filename} is a file") from None
        raise InputError(f"out={out} exists already; choose another folder, or resume={out} to go on") from None
    except OSError as error:
        raise InputError(f"out={out or 'outputs'} cannot be made: {error.strerror} ({error.filename})") from None


def is_left_by_a_kill(folder: Path) -> bool:
    """Whether a folder holds nothing but what a run or a sweep writes before its configuration."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return bool(names) and all(BEFORE_CONFIG.fullmatch(name) for name in names)


def _first_free(parent: Path, name: str) -> Path:
    for suffix in range(1, 10_000):
        folder = parent / (name if suffix == 1 else f"{name}-{suffix}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise InputError(f"{parent / name} and 9,999 suffixes are all taken")
