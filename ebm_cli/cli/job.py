"""One job from its configuration to a finished run: its folder, its verb, and what went wrong in one line."""

import errno
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ebm_cli import __version__
from ebm_cli.assembly.build import NOTHING, Permission, files_of, permitted
from ebm_cli.check import InputError
from ebm_cli.cli import compose
from ebm_cli.estimate import Estimate
from ebm_cli.run import shipped
from ebm_cli.run.folder import FORMAT, NAME, Run, new_folder, write_text
from ebm_cli.run.terminal import Stopped, WorkFailed, printable

# What a disk or its limits refuse, which no change of this program mends.
OF_THE_DISK = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE),
)


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


def perform(job: Job, terminal: Any = None) -> tuple[Job, Run, int, dict[str, Estimate]]:
    """Do the work of one job in its folder; returns the exit code and the numbers. terminal: one of its own if None."""
    from ebm_cli.cli.console import Live

    terminal = terminal or Live()
    compose.append_current_folder()
    fresh = job.folder is None or not (job.folder / "config.yaml").exists()
    folder = job.folder or new_folder(job.verb, job_name(job), job.config.get("out"))
    run = Run(folder)
    estimates: dict[str, Estimate] = {}
    if isinstance(job.source, Run) and not job.source.is_finished():
        terminal.say(f"note: run={job.source.folder} has not finished: it was stopped, or is still running")
    try:
        with locked(run), permitted(job.permission), unfinished(run), quiet_threads():
            config = settle(job, run)
            estimates = verb_of(job, config, run, terminal)()
            run.write_metrics(estimates)
            from ebm_cli.logger.run_record import close_record
            from ebm_cli.report.page import write_report

            write_report(run)
            close_record(run)
        return job, run, 1 if is_refused(job, estimates) else 0, estimates
    except InputError as error:
        if fresh and job.folder is None and not isinstance(error, InUse):
            shutil.rmtree(folder, ignore_errors=True)
        elif fresh and not isinstance(error, InUse):
            # A sweep's row says why.
            leave_reason(run, "; ".join(error.messages))
        return job, run, wrong_input(typed_only(job, error)), estimates
    except Stopped as stop:
        terminal.say(str(stop))
        return job, run, 128 + (terminal.signal or signal.SIGINT), estimates
    except WorkFailed as failure:
        return job, run, failed(run, str(failure)), estimates
    except OSError as error:
        if not is_of_the_disk(error):
            return job, run, internal(run), estimates
        return job, run, failed(run, f"{os.strerror(error.errno or 0)}: {error.filename or folder}"), estimates
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


def is_of_the_disk(error: BaseException | None) -> bool:
    """Whether a disk or its limits refused something."""
    return isinstance(error, OSError) and error.errno in OF_THE_DISK


@contextmanager
def quiet_threads() -> Iterator[None]:
    """TensorBoard's thread leaves what its disk refuses to our own, which raises it again: no traceback of it."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if not is_of_the_disk(args.exc_value):
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def is_refused(job: Job, estimates: dict[str, Estimate]) -> bool:
    """Whether training ended in a model of no use."""
    return job.verb == "train" and "loss" in estimates and estimates["loss"].verdict == "refused"


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


def typed_only(job: Job, error: InputError) -> InputError:
    """The error without keys that follow another key, by an interpolation in their YAML, which is wrong itself."""
    named = {message.split(" ")[0] for message in error.messages}
    typed = {word.lstrip("+~").partition("=")[0] for word in job.words}

    def follows(key: str) -> bool:
        group, _, last = key.partition(".")
        node = job.config.get(group)
        if not isinstance(node, dict) or key in typed:
            return False
        source = re.fullmatch(r"\$\{([\w.]+)\}", str(shipped.defaults(str(node.get("_target_"))).get(last)))
        return source is not None and source[1] in named

    kept = [message for message in error.messages if not follows(message.split(" ")[0])]
    return InputError(*(kept or error.messages))


def kernel_steps(config: dict[str, Any]) -> int:
    """Steps of the chains of a whole `ebm sample` or `ebm evaluate`; training, whose weights change, counts none."""
    steps = [config.get("steps"), config.get("burn_in", 0)]
    return sum(step for step in steps if isinstance(step, int))


def found_from_anywhere(data: dict[str, Any] | None) -> dict[str, Any] | None:
    """A data node whose `path` no longer depends on the current folder, so that later verbs find it from any."""
    if data is None or not isinstance(data.get("path"), str) or not Path(data["path"]).expanduser().exists():
        return data
    return data | {"path": str(Path(data["path"]).expanduser().absolute())}


def verb_of(job: Job, config: dict[str, Any], run: Run, terminal: Any) -> Callable[[], dict[str, Estimate]]:
    """The verb's work, ready to be called."""
    trained = job.source if isinstance(job.source, Run) else None
    if job.verb == "train":
        from ebm_cli.verb.train import train

        init = Run(Path(config["init"])) if config.get("init") else None
        return lambda: train(config, run, terminal, init)
    if job.verb == "sample":
        from ebm_cli.verb.sample import sample

        return lambda: sample(config, run, terminal, trained)
    if job.verb == "evaluate":
        from ebm_cli.verb.evaluate import evaluate

        return lambda: evaluate(config, run, terminal, trained)
    from ebm_cli.verb.diagnose import diagnose

    assert job.source is not None
    source = job.source
    return lambda: diagnose(config, run, terminal, source)


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


class InUse(InputError):
    """Another ebm works in the folder."""


class locked:
    """One process per run: `with locked(run)` refuses a folder that another ebm works in, by its `name`."""

    def __init__(self, run: Run, name: str | None = None) -> None:
        self.run = run
        self.name = name or f"run={run.folder}"

    def __enter__(self) -> None:
        import fcntl

        try:
            self.handle = os.open(self.run.folder, os.O_RDONLY)
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.handle)
            raise InUse(f"{self.name} is in use by another ebm") from None

    def __exit__(self, *error: object) -> None:
        os.close(self.handle)


@contextmanager
def unfinished(run: Run) -> Iterator[None]:
    """Mark the run as not finished until the block ends well; wrong input leaves an earlier run as it was."""
    before = run.is_finished()
    path = run.folder / "config.yaml"
    config = path.read_text() if path.exists() else None
    run.begin()
    try:
        yield
    except InputError:
        if config is not None:
            write_text(path, config)
        if before:
            run.finish()
        raise
    run.finish()


def failed(run: Run, reason: str) -> int:
    """Print and leave in the folder why the work failed."""
    sys.stderr.write(f"failed: {printable(' '.join(reason.split()))}\n")
    leave_reason(run, reason)
    return 1


def leave_reason(run: Run, reason: str) -> None:
    """Write failure.txt, if the disk lets us."""
    with suppress(OSError):
        write_text(run.folder / "failure.txt", reason + "\n")


def internal(run: Run) -> int:
    """A mistake of ours: one line, and the traceback in a file."""
    kind, value = sys.exc_info()[:2]
    path = run.folder / "failure.txt"
    with suppress(OSError):
        write_text(path, traceback.format_exc())
    first = (str(value).splitlines() or [""])[0]
    sys.stderr.write(f"failed: {kind.__name__ if kind else 'error'}: {first} (details in {path}; please report it)\n")
    return 1


def wrong_input(error: InputError) -> int:
    """Print what is wrong with the user's input, a line each."""
    for message in error.messages:
        sys.stderr.write(f"error: {printable(' '.join(message.split()))}\n")
    return 2


def git_commit() -> str | None:
    """The commit that the current folder is at, None outside a repository."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=2, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
