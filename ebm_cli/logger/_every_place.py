"""All places of the folder as one."""

import importlib
import pkgutil
from pathlib import Path

import numpy as np

from ebm_cli import logger
from ebm_cli.logger import Logger


def places() -> list[type[Logger]]:
    """Return the loggers in the public files of the folder, by the names of the files."""
    names = sorted(m.name for m in pkgutil.iter_modules(logger.__path__) if not m.name.startswith("_"))
    modules = [importlib.import_module(f"{logger.__name__}.{name}") for name in names]
    classes = [(module, value) for module in modules for value in vars(module).values() if isinstance(value, type)]
    return [found for module, found in classes if issubclass(found, Logger) and found.__module__ == module.__name__]


class EveryPlace(Logger):
    """Writes everything to each place."""

    def __init__(self, folder: Path, purge: int | None) -> None:
        self.places = [place(folder, purge) for place in places()]

    def close(self) -> None:
        for place in self.places:
            place.close()

    def flush(self) -> None:
        for place in self.places:
            place.flush()

    def scalar(self, tag: str, value: float, step: int, description: str = "") -> None:
        for place in self.places:
            place.scalar(tag, value, step, description)

    def histogram(self, tag: str, values: np.ndarray, step: int, description: str = "") -> None:
        for place in self.places:
            place.histogram(tag, values, step, description)

    def picture(self, tag: str, png: bytes, step: int, caption: str = "") -> None:
        for place in self.places:
            place.picture(tag, png, step, caption)

    def text(self, tag: str, markdown: str, step: int) -> None:
        for place in self.places:
            place.text(tag, markdown, step)

    def hparams(self, values: dict[str, float | str | bool], trial: str) -> None:
        for place in self.places:
            place.hparams(values, trial)

    def layout(self, categories: dict[str, dict[str, tuple[str, ...]]]) -> None:
        for place in self.places:
            place.layout(categories)

    def mark_finished(self) -> None:
        for place in self.places:
            place.mark_finished()
