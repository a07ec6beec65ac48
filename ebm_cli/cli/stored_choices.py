"""Replace `auto` in a configuration by the value that it stands for, and write config.yaml with its provenance."""

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
from ebm_cli.run.renamed_keys import new_key


def resolve_auto_values(job: Job, run: Run) -> dict[str, Any]:
    """Return the configuration with the values that `auto` stands for, and write it to config.yaml."""
    from ebm_cli.chain.engine import resolve_engine
    from ebm_cli.run.machine import resolve

    config = dict(job.config)
    machine = resolve(config["device"], config["dtype"], config["threads"])
    config |= {"device": machine.device, "threads": machine.threads}
    if "engine" in config:
        # An invalid engine is reported later, together with all other input errors.
        with suppress(InputError):
            config["engine"] = resolve_engine(
                config["engine"], machine.device, has_fixed_steps(config), kernel_steps(config)
            )
    if "made" not in config:
        config["made"] = provenance(job) | ({"files": files} if (files := files_of(config)) else {})
    # Stored paths are absolute. The returned paths are as typed, because errors name them.
    stored: dict[str, Any] = {"data": with_absolute_data_path(config.get("data"))}
    if config.get("score") is not None:
        stored["score"] = absolute_path(str(config["score"]))
    run.write_config(config | stored)
    return config


def provenance(job: Job) -> dict[str, Any]:
    """Return the provenance of a run: the command, the keys that it sets (by their new names), and the versions."""
    import torch

    return {
        "verb": job.verb,
        "created": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join(["ebm", job.verb, *job.words]),
        "chosen": sorted({new_key(job.config, key) or key for key in job.typed_keys}),
        "ebm": __version__,
        "torch": str(torch.__version__),
        "python": sys.version.split()[0],
        "git": git_commit(),
        "format": FORMAT,
    }


def has_fixed_steps(config: dict[str, Any]) -> bool:
    """Return True if the sampler's class can be compiled. An unknown class is reported when parts are built."""
    from ebm_cli.assembly.build import locate
    from ebm_cli.sampler import CompilableKernel

    try:
        return issubclass(locate(str((config.get("sampler") or {}).get("_target_"))), CompilableKernel)
    except InputError:
        return config["engine"] != "auto"


def kernel_steps(config: dict[str, Any]) -> int:
    """Return the kernel steps of `ebm sample` or `ebm evaluate`; 0 for training, where the weights change."""
    return sum(step for step in (config.get("steps"), config.get("burn_in")) if isinstance(step, int))


def with_absolute_data_path(data: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a data node with an absolute `path`, if it has a path that exists."""
    path = None if data is None else data.get("path")
    if data is None or not isinstance(path, str) or not Path(path).expanduser().exists():
        return data
    return data | {"path": absolute_path(path)}


def absolute_path(path: str) -> str:
    """Return the absolute path, with ~ expanded."""
    return str(Path(path).expanduser().absolute())


def git_commit() -> str | None:
    """Return the commit of the current folder; None outside a repository."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=2, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
