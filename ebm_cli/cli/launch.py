"""From a command line to a finished run: find the run it names, compose, make the folder, run the verb, report."""

import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ebm_cli import __version__
from ebm_cli.check import InputError
from ebm_cli.cli import compose, runs
from ebm_cli.cli.answers import groups
from ebm_cli.estimate import Estimate
from ebm_cli.run import FORMAT, Run, new_folder, write_text
from ebm_cli.terminal import Stopped, WorkFailed

RESUME_MAY = ("trainer.steps", "trainer.checkpoint_every", "trainer.log_every", "device", "threads")
OF_TRAINING = ("energy", "data", "sampler", "start", "objective", "regularizer", "optimizer")
SHARED = ("event", "dtype")


@dataclass(frozen=True)
class Job:
    """One run to be made, or taken up again: its verb, its whole configuration and the run it starts from.

    folder: where it lives, None for a new one under outputs. words: what was typed.
    """

    verb: str
    config: dict[str, Any]
    source: Run | Path | None = None
    folder: Path | None = None
    words: tuple[str, ...] = field(default=())


def launch(verb: str, arguments: list[str]) -> int:
    """Run one verb; returns the exit code and prints errors as lines on stderr."""
    many = any(word in ("-m", "--multirun") for word in arguments)
    words = [word for word in arguments if word not in ("-m", "--multirun")]
    try:
        overrides = compose.parse(words)
        resumed = value_of(overrides, "resume")
        if many or (resumed and (Path(resumed) / "sweep.yaml").exists()):
            from ebm_cli.cli.sweep import sweep

            return sweep(verb, overrides, Path(resumed) if resumed else None)
        return finish(perform(prepare(verb, overrides)))
    except InputError as error:
        return wrong_input(error)


def wrong_input(error: InputError) -> int:
    """Print what is wrong with the user's input, a line each."""
    for message in error.messages:
        sys.stderr.write(f"error: {message}\n")
    return 2


def value_of(overrides: list[Any], key: str) -> str | None:
    """The value that the line gives a plain key, as text."""
    for override in reversed(overrides):
        if override.key_or_group == key and not override.is_sweep_override():
            value = override.value()
            return None if value is None else str(value)
    return None


def prepare(verb: str, overrides: list[Any]) -> Job:
    """The job that a command line without sweeps describes."""
    if verb == "train" and value_of(overrides, "resume") is not None:
        return resume(overrides)
    key = "init" if verb == "train" else "run"
    named = value_of(overrides, key)
    source = runs.find(named, verb, key) if named is not None else None
    rest = [o for o in overrides if o.key_or_group != key]
    words = tuple(compose.text(o) for o in overrides)
    if verb == "diagnose" and source is None:
        raise InputError("run must be given: run=RUN of ebm sample, or run=FILE.npy")
    base, rest = base_of(verb, source, rest)
    config = compose.compose(verb, rest, base)
    if source is not None:
        config[key] = str(source.folder if isinstance(source, Run) else source)
    return Job(verb, config, source, words=words)


def base_of(verb: str, source: Run | Path | None, overrides: list[Any]) -> tuple[compose.Base, list[Any]]:
    """What a verb's configuration starts from: the groups of the run it names, or a recipe."""
    named = {o.key_or_group for o in overrides}
    if isinstance(source, Run) and verb != "diagnose":
        own = source.config()
        if "energy" in named:
            raise InputError(f"energy comes from {'init' if verb == 'train' else 'run'}={source.folder}: name no other")
        if verb == "train":
            nodes = {group: own[group] for group in OF_TRAINING if own.get(group)}
            values = {key: own[key] for key in ("trainer", *SHARED)}
            return compose.Base(nodes, values), overrides
        nodes = {group: own[group] for group in ("energy", "data", "sampler") if own.get(group)}
        nodes["start"] = start_node(own.get("start") or {}, value_of(overrides, "start"))
        if nodes["start"] is own.get("start"):
            overrides = [o for o in overrides if o.key_or_group != "start"]
        return compose.Base({k: v for k, v in nodes.items() if v}, {key: own[key] for key in SHARED}), overrides
    if verb == "train" and source is None and "experiment" not in named:
        data = value_of(overrides, "data")
        if data is None:
            return compose.Base(experiment="digits"), overrides
        if data in groups()["experiment"]:
            return compose.Base(experiment=data), overrides
    return compose.Base(), overrides


def start_node(own: dict[str, Any], chosen: str | None) -> dict[str, Any] | None:
    """Where a trained run's chains start when sampled: at noise of its own law; its buffer where asked for."""
    if chosen == "replay" and "size" in own:
        return own
    if "scale" not in own:
        return None
    return {"_target_": "ebm_cli.start.noise.Noise", "law": own["law"], "scale": own["scale"]}


def resume(overrides: list[Any]) -> Job:
    """A training run taken up in its own folder; only what cannot change its bits may be given."""
    named = value_of(overrides, "resume")
    assert named is not None
    run = runs.find(named, "train", "resume")
    assert isinstance(run, Run)
    config = run.config()
    wrong = []
    for override in overrides:
        key = override.key_or_group
        if key == "resume":
            continue
        if key not in RESUME_MAY:
            wrong.append(
                f"{key} cannot change on resume, only {', '.join(RESUME_MAY)} can; init={named} starts a new run"
            )
            continue
        node, last = (config["trainer"], key.partition(".")[2]) if "." in key else (config, key)
        node[last] = override.value()
    if wrong:
        raise InputError(*wrong)
    return Job("train", config, folder=run.folder)


def perform(job: Job) -> tuple[Job, Run, int, dict[str, Estimate]]:
    """Do the work of one job in its folder; returns the exit code and the numbers."""
    from ebm_cli.cli.live import Live

    terminal = Live()
    compose.append_current_folder()
    fresh = job.folder is None or not (job.folder / "config.yaml").exists()
    folder = job.folder or new_folder(job.verb, job_name(job), job.config.get("out"))
    run = Run(folder)
    estimates: dict[str, Estimate] = {}
    try:
        with locked(run):
            config = settle(job, run)
            estimates = verb_of(job, config, run, terminal)()
            run.write_metrics(estimates)
            from ebm_cli.report import write_report

            write_report(run)
        return job, run, 0, estimates
    except InputError as error:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        return job, run, wrong_input(error), estimates
    except Stopped as stop:
        terminal.say(str(stop))
        return job, run, 128 + (terminal.signal or signal.SIGINT), estimates
    except WorkFailed as failure:
        return job, run, failed(run, str(failure)), estimates
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            return job, run, internal(run), estimates
        return job, run, failed(run, f"{error.strerror}: {error.filename or folder}"), estimates
    except (MemoryError, RuntimeError) as error:
        if (
            "out of memory" not in str(error)
            and "can't allocate" not in str(error)
            and not isinstance(error, MemoryError)
        ):
            return job, run, internal(run), estimates
        return (
            job,
            run,
            failed(run, "out of memory; lower chains, trainer.batch_size or the energy's width"),
            estimates,
        )
    except Exception:
        return job, run, internal(run), estimates


def settle(job: Job, run: Run) -> dict[str, Any]:
    """The configuration with what `auto` means here, written to config.yaml."""
    import torch

    from ebm_cli.machine import resolve

    config = dict(job.config)
    place = resolve(config["device"], config["dtype"], config["threads"])
    config |= {"device": place.device, "threads": place.threads}
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
    run.write_config(config)
    return config


def verb_of(job: Job, config: dict[str, Any], run: Run, terminal: Any) -> Callable[[], dict[str, Estimate]]:
    """The verb's work, ready to be called."""
    trained = job.source if isinstance(job.source, Run) else None
    if job.verb == "train":
        from ebm_cli.train import train

        init = Run(Path(config["init"])) if config.get("init") else None
        return lambda: train(config, run, terminal, init)
    if job.verb == "sample":
        from ebm_cli.sample import sample

        return lambda: sample(config, run, terminal, trained)
    if job.verb == "evaluate":
        from ebm_cli.evaluate import evaluate

        return lambda: evaluate(config, run, terminal, trained)
    from ebm_cli.diagnose import diagnose

    assert job.source is not None
    source = job.source
    return lambda: diagnose(config, run, terminal, source)


def finish(result: tuple[Job, Run, int, dict[str, Estimate]]) -> int:
    """Print the numbers and, last, the folder."""
    _, run, code, estimates = result
    if estimates:
        from ebm_cli.cli.live import print_estimates

        print_estimates(estimates)
    if run.folder.exists():
        sys.stdout.write(f"{run.folder}\n")
    return code


def job_name(job: Job) -> str:
    """The run's name: as given, else the recipe's, else the energy's or the chains'."""
    given = job.config.get("name")
    if given is not None:
        return str(given)
    if isinstance(job.source, Path):
        return "".join(c if c.isalnum() or c in "._-" else "-" for c in job.source.stem)
    recipe = job.config.get("energy", {}).get("_target_", "") if isinstance(job.config.get("energy"), dict) else ""
    data = (job.config.get("data") or {}).get("_target_", "")
    words = [target.rpartition(".")[0].rpartition(".")[2] for target in (data, recipe) if target]
    return "-".join(words) or job.verb


class locked:
    """One process a run: `with locked(run)` refuses a folder that another ebm works in."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __enter__(self) -> None:
        import fcntl

        try:
            self.handle = os.open(self.run.folder, os.O_RDONLY)
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.handle)
            raise InputError(f"run={self.run.folder} is in use by another ebm") from None

    def __exit__(self, *error: object) -> None:
        os.close(self.handle)


def failed(run: Run, reason: str) -> int:
    """Print and leave in the folder why the work failed."""
    sys.stderr.write(f"failed: {reason}\n")
    with suppress(OSError):
        write_text(run.folder / "failure.txt", reason + "\n")
    return 1


def internal(run: Run) -> int:
    """A mistake of ours: one line, and the traceback in a file."""
    kind, value = sys.exc_info()[:2]
    path = run.folder / "failure.txt"
    with suppress(OSError):
        write_text(path, traceback.format_exc())
    first = (str(value).splitlines() or [""])[0]
    sys.stderr.write(f"failed: {kind.__name__ if kind else 'error'}: {first} (details in {path}; please report it)\n")
    return 1


def git_commit() -> str | None:
    """The commit that the current folder is at, None outside a repository."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=2, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
