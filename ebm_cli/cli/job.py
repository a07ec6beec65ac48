"""One job from its configuration to a finished run: its folder, its verb, and what went wrong in one line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ebm_cli.assembly.permission import NOTHING, Permission
from ebm_cli.run.folder import NAME, Run


@dataclass(frozen=True)
class Job:
    """One run to be made, or taken up again: its verb, its whole configuration and the run it starts from.

    folder: where it lives, None for a new one under outputs. words: what was typed. permission: which
    classes beyond this package's own may be imported.
    """

    verb: str
    config: dict[str, Any]
    source: Run | Path | None = None
    folder: Path | None = None
    words: tuple[str, ...] = field(default=())
    permission: Permission = NOTHING


def job_name(job: Job) -> str:
    """The run's name: as given, else the recipe's, else the energy's or the chains'."""
    given = job.config.get("name")
    if given is not None:
        return str(given)
    if isinstance(job.source, Path):
        return "".join(c if c.isalnum() or c in "._-" else "-" for c in job.source.stem)
    nodes = [job.config.get(group) for group in ("data", "energy")]
    targets = [str(node.get("_target_") or "") for node in nodes if isinstance(node, dict)]
    words = [target.rpartition(".")[0].rpartition(".")[2] for target in targets if target]
    words = [word for word in words if NAME.fullmatch(word)]
    return "-".join(words) or job.verb
