"""Places that runs log to, such as TensorBoard files. Every `Logger` in a public file of this folder is one of them.

A place overrides the methods of what it can show:

    class Lines(Logger):
        def __init__(self, folder: Path, purge: int | None) -> None:
            self.file = (folder / "lines.txt").open("a")

        def scalar(self, tag: str, value: float, step: int, description: str = "") -> None:
            self.file.write(f"{step} {tag} {value}\\n")

        def close(self) -> None:
            self.file.close()

A verb logs to all places through `open_places`.
"""

from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np


class Logger(AbstractContextManager["Logger"]):
    """A place that a run logs to; what it does not override is not shown there.

    folder: the run's.
    purge: None, or the step from which on a resumed run logs again: what is there from that step on is out of date.
    """

    def __init__(self, folder: Path, purge: int | None) -> None: ...

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what is not written yet, and end."""

    def flush(self) -> None:
        """Write what is not written yet."""

    def scalar(self, tag: str, value: float, step: int, description: str = "") -> None:
        """Show a number of this step."""

    def histogram(self, tag: str, values: np.ndarray, step: int, description: str = "") -> None:
        """Show the distribution of values, which are finite numbers (at least one)."""

    def picture(self, tag: str, png: bytes, step: int, caption: str = "") -> None:
        """Show a PNG."""

    def text(self, tag: str, markdown: str, step: int) -> None:
        """Show text in Markdown."""

    def hparams(self, values: dict[str, float | str | bool], trial: str) -> None:
        """Show the hyperparameters by which runs are compared; trial: unique name of this run."""

    def layout(self, categories: dict[str, dict[str, tuple[str, ...]]]) -> None:
        """Arrange scalars in charts, by category and title, each with its tags."""

    def mark_finished(self) -> None:
        """Show that the run has finished."""


def open_places(folder: Path, purge: int | None = None) -> Logger:
    """Return one logger that writes to all places."""
    # A place imports this module.
    from ebm_cli.logger._every_place import EveryPlace

    return EveryPlace(folder, purge)
