"""The runs that a run came from, and the runs that came from it."""

import json
from contextlib import suppress
from pathlib import Path

from ebm_cli.check import InputError
from ebm_cli.run.folder import Run, read_json
from ebm_cli.run.writing import write_text

VERB_ORDER = ("train", "sample", "evaluate", "diagnose")


def ancestors(run: Run) -> list[Run]:
    """Return the runs that `run` came from, oldest first, as far as they still exist."""
    found: list[Run] = []
    config = run.config()
    while (source := config.get("run") or config.get("init")) and Path(source).is_dir():
        parent = Run(Path(source))
        # A run that names itself or one of its descendants.
        if any(parent.folder.samefile(other.folder) for other in (run, *found)):
            break
        try:
            config = parent.config()
        except InputError:
            break
        found.insert(0, parent)
    return found


def descendants(run: Run) -> list[Run]:
    """Return every run that came from `run` and still exists, by verb, oldest first."""
    found: dict[str, list[Run]] = {verb: [] for verb in VERB_ORDER}
    for folder in children(run):
        child = Run(Path(folder))
        try:
            found.setdefault(child.config()["made"].get("verb", "train"), []).append(child)
        except InputError:
            continue
    return [child for runs in found.values() for child in runs]


def children(run: Run) -> list[str]:
    """Return the folders in descendants.json, [] if it is damaged."""
    folders = read_json(run.folder / "descendants.json")
    return [folder for folder in folders if isinstance(folder, str)] if isinstance(folders, list) else []


def note_descendant(run: Run, child: Run) -> None:
    """Record in the folder of `run` that `child` came from it, if that folder can be written."""
    folders = children(run)
    if str(child.folder) not in folders:
        with suppress(OSError):
            write_text(run.folder / "descendants.json", json.dumps([*folders, str(child.folder)], indent=1))
