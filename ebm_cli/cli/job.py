"""A job: one run to be made, and its name."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebm_cli.assembly.permission import NOTHING, Permission
from ebm_cli.run.folder import NAME, Run
from ebm_cli.run.shipped import option_name


@dataclass(frozen=True)
class Job:
    """One run to be made or resumed.

    verb: its verb.
    config: its whole configuration.
    source: the run, or the file of chains, from which it starts.
    folder: its folder; None for a new folder under outputs.
    words: the words of the command line.
    permission: the classes outside this package that may be imported.
    """

    verb: str
    config: dict[str, Any]
    source: Run | Path | None = None
    folder: Path | None = None
    words: tuple[str, ...] = ()
    permission: Permission = NOTHING

    @property
    def typed_keys(self) -> list[str]:
        """Return the keys that the words set, add or remove, in their order."""
        return list(dict.fromkeys(word.lstrip("+~").partition("=")[0] for word in self.words))


def job_name(job: Job) -> str:
    """Return the run's name: its key `name`, the name of its file of chains, or the names of data and energy."""
    given = job.config.get("name")
    if given is not None:
        return str(given)
    if isinstance(job.source, Path):
        return re.sub(r"[^\w.-]", "-", job.source.stem)
    nodes = [job.config.get(group) for group in ("data", "energy")]
    words = [option_name(node.get("_target_")) for node in nodes if isinstance(node, dict)]
    return "-".join(word for word in words if NAME.fullmatch(word)) or job.verb
