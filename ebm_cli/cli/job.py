"""A job: one run that is to be made, and its name."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ebm_cli.assembly.permission import NOTHING, Permission
from ebm_cli.run.folder import NAME, Run


@dataclass(frozen=True)
class Job:
    """One run that is to be made or resumed.

    verb: its verb.
    config: its whole configuration.
    source: the run, or the file of chains, that it starts from.
    folder: its folder; None for a new one under outputs.
    words: what was typed.
    permission: which classes beyond this package's own may be imported.
    """

    verb: str
    config: dict[str, Any]
    source: Run | Path | None = None
    folder: Path | None = None
    words: tuple[str, ...] = ()
    permission: Permission = NOTHING


def job_name(job: Job) -> str:
    """Return the run's name: the given one, or those of data and energy, or that of the file of chains."""
    given = job.config.get("name")
    if given is not None:
        return str(given)
    if isinstance(job.source, Path):
        return re.sub(r"[^\w.-]", "-", job.source.stem)
    nodes = [job.config.get(group) for group in ("data", "energy")]
    modules = [str(node.get("_target_") or "").rpartition(".")[0] for node in nodes if isinstance(node, dict)]
    words = [module.rpartition(".")[2] for module in modules]
    return "-".join(word for word in words if NAME.fullmatch(word)) or job.verb
