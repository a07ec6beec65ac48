"""What went wrong in a run: one line on stderr, the reason in its folder, and the exit code."""

import errno
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ebm_cli.check import InputError
from ebm_cli.run.folder import Run
from ebm_cli.run.terminal import WorkFailed, printable
from ebm_cli.run.writing import write_text

# What a disk or its limits refuse, which no change of this program mends.
OF_THE_DISK = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE),
)


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


def report_failure(run: Run, error: Exception) -> int:
    """Print why the work of a run failed, in one line, and leave the reason in its folder; return the exit code."""
    if isinstance(error, WorkFailed):
        return report(run, str(error))
    if isinstance(error, OSError) and is_of_the_disk(error):
        return report(run, f"{os.strerror(error.errno or 0)}: {error.filename or run.folder}")
    if is_out_of_memory(error):
        return report(run, "out of memory; lower chains, trainer.batch_size or the energy's width")
    return report_bug(run, error)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory was refused, by Python or by torch."""
    texts = ("out of memory", "can't allocate")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in texts)
    )


def report(run: Run, reason: str) -> int:
    """Print a reason and leave it in the folder."""
    sys.stderr.write(f"failed: {printable(' '.join(reason.split()))}\n")
    leave_reason(run, reason)
    return 1


def leave_reason(run: Run, reason: str) -> None:
    """Write failure.txt, if the disk allows it."""
    with suppress(OSError):
        write_text(run.folder / "failure.txt", reason + "\n")


def report_bug(run: Run, error: Exception) -> int:
    """Print a mistake of this program in one line, with the traceback in a file."""
    path = run.folder / "failure.txt"
    leave_reason(run, "".join(traceback.format_exception(error)).rstrip())
    first = (str(error).splitlines() or [""])[0]
    sys.stderr.write(f"failed: {type(error).__name__}: {first} (details in {path}; please report it)\n")
    return 1


def report_input_error(error: InputError) -> int:
    """Print what is wrong with the user's input, one line each."""
    for message in error.messages:
        sys.stderr.write(f"error: {printable(' '.join(message.split()))}\n")
    return 2
