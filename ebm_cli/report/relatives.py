"""The ancestors and the descendants of a run."""

import json
from contextlib import suppress
from pathlib import Path

from ebm_cli.check import InputError
from ebm_cli.run.folder import Run, read_json
from ebm_cli.run.writing import write_text

VERB_ORDER = ("train", "sample", "evaluate", "diagnose")


def ancestors(run: Run) -> list[Run]:
    """Return the existing runs from which `run` came, oldest first."""
    found: list[Run] = []
    config = run.config()
    while (source := config.get("run") or config.get("init")) and Path(source).is_dir():
        parent = Run(Path(source))
        # A damaged configuration can name the run itself or a descendant.
        if any(parent.folder.samefile(other.folder) for other in (run, *found)):
            break
        try:
            config = parent.config()
        except InputError:
            break
        found.insert(0, parent)
    return found


def descendants(run: Run) -> list[Run]:
    """Return every existing run that came from `run`, by verb, oldest first."""
    found: dict[str, list[Run]] = {verb: [] for verb in VERB_ORDER}
    for folder in children(run):
        child = Run(Path(folder))
        try:
            found.setdefault(child.config()["made"].get("verb", "train"), []).append(child)
        except InputError:
            continue
    return [child for runs in found.values() for child in runs]


def children(run: Run) -> list[str]:
    """Return the folders in descendants.json; [] if the file is missing or damaged."""
    folders = read_json(run.folder / "descendants.json")
    return [folder for folder in folders if isinstance(folder, str)] if isinstance(folders, list) else []


def record_descendant(run: Run, child: Run) -> None:
    """Record in the folder of `run` that `child` came from it, if that folder can be written."""
    folders = children(run)
    if str(child.folder) not in folders:
        with suppress(OSError):
            write_text(run.folder / "descendants.json", json.dumps([*folders, str(child.folder)], indent=1))
