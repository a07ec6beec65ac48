"""Report why a run failed: print one line on stderr, write the reason to its folder, and return the exit code."""

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

# Errors of a disk or its limits. No change to this program can fix them.
DISK_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE),
)
MEMORY_TEXTS = ("out of memory", "can't allocate")


def is_disk_error(error: BaseException | None) -> bool:
    """Return True if a disk or its limits caused the error."""
    return isinstance(error, OSError) and error.errno in DISK_ERRORS


def is_memory_error(error: Exception) -> bool:
    """Return True if Python or torch could not allocate memory."""
    is_of_torch = isinstance(error, RuntimeError) and any(text in str(error) for text in MEMORY_TEXTS)
    return is_of_torch or isinstance(error, MemoryError)


@contextmanager
def quiet_threads() -> Iterator[None]:
    """Hide the traceback of a disk error in TensorBoard's thread; the main thread raises the same error."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if not is_disk_error(args.exc_value):
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def report_failure(run: Run, error: Exception) -> int:
    """Print in one line why a run failed, leave the reason in its folder, and return the exit code."""
    if isinstance(error, WorkFailed):
        reason = shown = str(error)
    elif isinstance(error, OSError) and is_disk_error(error):
        reason = shown = f"{os.strerror(error.errno or 0)}: {error.filename or run.folder}"
    elif is_memory_error(error):
        reason = shown = "out of memory; decrease chains, trainer.batch_size or the energy's width"
    else:
        # Any other error is a bug of this program.
        reason = "".join(traceback.format_exception(error)).rstrip()
        first = (str(error).splitlines() or [""])[0]
        shown = f"{type(error).__name__}: {first} (details in {run.folder / 'failure.txt'}; please report it)"
    leave_reason(run, reason)
    sys.stderr.write(f"failed: {one_line(shown)}\n")
    return 1


def leave_reason(run: Run, reason: str) -> None:
    """Write failure.txt, if the disk allows it."""
    with suppress(OSError):
        write_text(run.folder / "failure.txt", reason + "\n")


def report_input_error(error: InputError) -> int:
    """Print each mistake in the user's input on one line, and return the exit code."""
    sys.stderr.writelines(f"error: {one_line(message)}\n" for message in error.messages)
    return 2


def one_line(message: str) -> str:
    """Return a message on one line, without control characters."""
    return printable(" ".join(message.split()))
