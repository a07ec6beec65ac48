"""A configuration with what auto means here, and how it was made, written to config.yaml."""

import shlex
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ebm_cli import __version__
from ebm_cli.assembly.build import files_of
from ebm_cli.check import InputError
from ebm_cli.cli.job import Job
from ebm_cli.run.folder import Run
from ebm_cli.run.old_formats import FORMAT


def settle(job: Job, run: Run) -> dict[str, Any]:
    """The configuration with what `auto` means here, written to config.yaml."""
    import torch

    from ebm_cli.chain.engine import choose
    from ebm_cli.run.machine import resolve

    config = dict(job.config)
    place = resolve(config["device"], config["dtype"], config["threads"])
    config |= {"device": place.device, "threads": place.threads}
    if "engine" in config:
        # One that cannot be is told with all else that is wrong, when parts are built.
        with suppress(InputError):
            config["engine"] = choose(config["engine"], place.device, has_fixed_steps(config), kernel_steps(config))
    if "made" not in config:
        config["made"] = {
            "verb": job.verb,
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "command": shlex.join(["ebm", job.verb, *job.words]),
            "chosen": sorted({word.lstrip("+~").partition("=")[0] for word in job.words}),
            "ebm": __version__,
            "torch": str(torch.__version__),
            "python": sys.version.split()[0],
            "git": git_commit(),
            "format": FORMAT,
        }
        if files := files_of(config):
            config["made"]["files"] = files
    # What is written down holds from any folder; errors name the path as it was typed.
    held: dict[str, Any] = {"data": found_from_anywhere(config.get("data"))}
    if config.get("score") is not None:
        held["score"] = str(Path(str(config["score"])).expanduser().absolute())
    run.write_config(config | held)
    return config


def has_fixed_steps(config: dict[str, Any]) -> bool:
    """Whether the sampler's class can be compiled; a class that cannot be found is told of when parts are built."""
    from ebm_cli.assembly.build import locate
    from ebm_cli.sampler import CompilableKernel

    try:
        return issubclass(locate(str((config.get("sampler") or {}).get("_target_"))), CompilableKernel)
    except InputError:
        return config["engine"] != "auto"


def kernel_steps(config: dict[str, Any]) -> int:
    """Steps of the chains of a whole `ebm sample` or `ebm evaluate`; training, whose weights change, counts none."""
    steps = [config.get("steps"), config.get("burn_in", 0)]
    return sum(step for step in steps if isinstance(step, int))


def found_from_anywhere(data: dict[str, Any] | None) -> dict[str, Any] | None:
    """A data node whose `path` no longer depends on the current folder, so that later verbs find it from any."""
    if data is None or not isinstance(data.get("path"), str) or not Path(data["path"]).expanduser().exists():
        return data
    return data | {"path": str(Path(data["path"]).expanduser().absolute())}


def git_commit() -> str | None:
    """The commit that the current folder is at, None outside a repository."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=2, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
