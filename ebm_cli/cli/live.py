"""The person's terminal: bars and messages on stderr, tables on stdout, signals that ask for a clean stop."""

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ebm_cli.estimate import Estimate, show
from ebm_cli.judgment import judgment
from ebm_cli.terminal import Ticker, printable

PLAIN_EVERY = 10.0
LONGEST_WORD = 20
COLOURS = {"ok": "green", "caution": "yellow", "refused": "red"}


class Live:
    """Progress with rate and time left on a terminal; a plain line every ten seconds in a log file.

    The first SIGINT or SIGTERM asks the verb to stop after its step; a second one ends the process at once.
    """

    def __init__(self) -> None:
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)
        self.signal: int | None = None
        self.progress: Progress | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: Any) -> None:
        self.signal = number
        signal.signal(number, signal.SIG_DFL)
        self.say("stopping after this step; once more to leave at once")

    def say(self, message: str) -> None:
        self.errors.print(printable(message), markup=False)

    def stopping(self) -> bool:
        return self.signal is not None

    @contextmanager
    def task(self, name: str, total: int | None, begin: int = 0) -> Iterator[Ticker]:
        """A bar (on a terminal) or lines (elsewhere) to `total`, None for unknown; inside of another task, below it."""
        if not self.errors.is_terminal:
            yield self._lines(name, total, begin)
        elif self.progress is not None:
            task = self.progress.add_task(name, total=total, completed=begin, rate="", figures="")
            try:
                yield self._bar(self.progress, task, total, begin)
            finally:
                self.progress.remove_task(task)
        else:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
            )
            try:
                with Progress(*columns, console=self.errors, refresh_per_second=4) as self.progress:
                    task = self.progress.add_task(name, total=total, completed=begin, rate="", figures="")
                    yield self._bar(self.progress, task, total, begin)
            finally:
                self.progress = None

    @staticmethod
    def _bar(progress: Progress, task: Any, total: int | None, begin: int) -> Ticker:
        first, last = time.monotonic(), 0.0

        def tick(done: float, **figures: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > 0.1 or (total is not None and done >= total):
                last = now
                rate = _rate((done - begin) / max(now - first, 1e-9))
                progress.update(task, completed=done, rate=rate, figures=_figures(figures))

        return tick

    def _lines(self, name: str, total: int | None, begin: int) -> Ticker:
        first = last = time.monotonic()

        def tick(done: float, **figures: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < PLAIN_EVERY:
                return
            last = now
            rate = (done - begin) / (now - first)
            left = f"{(total - done) / rate:.0f} s left" if rate > 0 and total is not None else ""
            count = f"{int(done)}" if total is None else f"{int(done)}/{total}"
            self.say(f"{name} {count}  {_rate(rate)}  {left}  {_figures(figures)}".rstrip())

        return tick


def _rate(rate: float) -> str:
    """Per second, or per minute what takes long."""
    return f"{rate:.1f}/s" if rate >= 0.1 or not rate else f"{60 * rate:.1f}/min"


def _figures(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())


def print_estimates(estimates: dict[str, Estimate]) -> None:
    """The table of a run's numbers, on stdout."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("quantity", "value", "", "verdict", "meaning, and reason for doubt"):
        table.add_column(column, overflow="fold")
    for name, estimate in estimates.items():
        cells = (name, show(estimate.value, estimate.se), estimate.unit or "")
        verdict = Text(estimate.verdict, style=COLOURS[estimate.verdict])
        words = "\n".join(filter(None, (estimate.meaning, estimate.reason)))
        table.add_row(*map(_plain, cells), verdict, _plain(words))
    console().print(table)


def print_judgment(verb: str, estimates: dict[str, Estimate]) -> None:
    """One sentence on a run's numbers, on stdout."""
    if sentence := judgment([(verb, {name: row.to_json() for name, row in estimates.items()})]):
        console().print(_plain(sentence), soft_wrap=True)


def print_rows(header: list[str], rows: list[list[str]], notes: Sequence[str] = ()) -> None:
    """Any table, and the notes that belong under it, on stdout."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, cells in zip(header, zip(*rows, strict=True) if rows else [()] * len(header), strict=True):
        # No word is broken, unless it is as long as a path.
        longest = max(len(word) for cell in (column, *cells) for word in cell.split() or [""])
        table.add_column(_plain(column), overflow="fold", min_width=min(longest, LONGEST_WORD))
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row))
    console().print(table)
    for note in notes:
        console().print(_plain(note), soft_wrap=True)


def console() -> Console:
    """stdout: as wide as the terminal, 120 columns in a file."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def _plain(message: str) -> Text:
    """A cell as it is: brackets are no markup, and nothing in it steers the terminal."""
    return Text(printable(message))
