"""Files replaced at once, so that a kill or a full disk leaves the old or the new one."""

import os
import shutil
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def write_text(path: Path, text: str) -> None:
    """Replace a text file at once; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Replace a file at once: written aside, synced, renamed."""
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(0o644)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_array(path: Path, values: "np.ndarray") -> None:
    """Write a .npy file at once; numpy's own writing does not say why a disk took only half of it."""
    import numpy as np

    content = BytesIO()
    np.save(content, values)
    write_bytes(path, content.getbuffer())


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_folder(aside: Path, final: Path) -> None:
    """Rename a finished folder into place; one that is there already is removed."""
    if final.exists():
        shutil.rmtree(final)
    aside.rename(final)
    sync_folder(final.parent)
