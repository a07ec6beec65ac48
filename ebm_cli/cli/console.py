"""The person's terminal: bars and messages on stderr, tables on stdout, signals that ask for a clean stop."""

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ebm_cli.cli.rows import GAP, broken, printed
from ebm_cli.estimate import Estimate
from ebm_cli.report.judgment import judgment
from ebm_cli.run.terminal import Ticker, printable

PLAIN_EVERY = 10.0
LONGEST_WORD = 20
# A bar is so many columns wide; details are dropped before it would be narrower than the least.
LEAST_BAR, MOST_BAR = 10, 40


class Live:
    """Progress with rate and time left on a terminal; a plain line every ten seconds in a log file.

    The first SIGINT or SIGTERM asks the verb to stop after its step; a second one ends the process at once.
    """

    def __init__(self) -> None:
        self.errors = Console(stderr=True, highlight=False)
        self.signal: int | None = None
        self.progress: Progress | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: Any) -> None:
        self.signal = number
        signal.signal(number, signal.SIG_DFL)
        self.say("stopping after this step; once more to leave at once")

    def say(self, message: str) -> None:
        """Print a message: on a terminal between its edges, a word never broken; elsewhere on one line."""
        text = printable(message)
        lines = broken(text, self.errors.width) if self.errors.is_terminal else [text]
        self.errors.print("\n".join(lines), markup=False, soft_wrap=True)

    def stopping(self) -> bool:
        return self.signal is not None

    @contextmanager
    def task(self, name: str, total: int | None, begin: int = 0) -> Iterator[Ticker]:
        """A bar (on a terminal) or lines (elsewhere) to `total`, None for unknown; inside of another task, below it."""
        if not self.errors.is_terminal:
            yield self._lines(name, total, begin)
        elif self.progress is not None:
            yield from self._bar(self.progress, name, total, begin)
        else:
            columns = (TextColumn("{task.description}"), Bar(), TextColumn("{task.fields[words]}", markup=False))
            try:
                with Progress(*columns, console=self.errors, refresh_per_second=4) as self.progress:
                    yield from self._bar(self.progress, name, total, begin)
            finally:
                self.progress = None

    @staticmethod
    def _bar(progress: Progress, name: str, total: int | None, begin: int) -> Iterator[Ticker]:
        """One bar, for as long as its task runs."""
        width, words = fitted(progress.console.width, name, ticks(begin, total), "", [])
        task = progress.add_task(name, total=total, completed=begin, width=width, words=words)
        first, last = time.monotonic(), 0.0

        def tick(done: float, **figures: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last > 0.1 or (total is not None and done >= total):
                last = now
                rate = (done - begin) / max(now - first, 1e-9)
                left = "" if seconds_left(done, total, rate) is None else clock(seconds_left(done, total, rate) or 0)
                details = [_rate(rate), *_figures(figures)]
                width, words = fitted(progress.console.width, name, ticks(done, total), left, details)
                progress.update(task, completed=done, width=width, words=words)

        try:
            yield tick
        finally:
            progress.remove_task(task)

    def _lines(self, name: str, total: int | None, begin: int) -> Ticker:
        first = last = time.monotonic()

        def tick(done: float, **figures: float) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < PLAIN_EVERY:
                return
            last = now
            rate = (done - begin) / (now - first)
            left = seconds_left(done, total, rate)
            words = [ticks(done, total), _rate(rate), "" if left is None else f"{left:.0f} s left"]
            self.say("  ".join(filter(None, [f"{name} {words[0]}", *words[1:], *_figures(figures)])))

        return tick


class Bar(ProgressColumn):
    """The bar of a task, as wide as its field `width` says."""

    def render(self, task: Task) -> ProgressBar:
        return ProgressBar(total=task.total, completed=task.completed, width=task.fields["width"])


def fitted(console: int, name: str, count: str, left: str, details: list[str]) -> tuple[int, str]:
    """The width of a bar and the words after it: step and time left always, details as far as they fit."""
    words = "  ".join(filter(None, [count, left]))
    room = console - len(name) - len(words) - 3
    for detail in details:
        if room - len(detail) - 2 < LEAST_BAR:
            break
        words += f"  {detail}"
        room -= len(detail) + 2
    return max(min(room, MOST_BAR), 1), words


def ticks(done: float, total: int | None) -> str:
    """What is done, of how much where that is known."""
    return f"{int(done)}" if total is None else f"{int(done)}/{total}"


def seconds_left(done: float, total: int | None, rate: float) -> float | None:
    """Seconds to the end at this rate, 0 beyond it; None where there is no telling."""
    return max(total - done, 0) / rate if total is not None and rate > 0 else None


def clock(seconds: float) -> str:
    """Seconds as 0:05 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} left" if hours else f"{minutes}:{rest:02d} left"


def _rate(rate: float) -> str:
    """Per second, or per minute what takes long."""
    return f"{rate:.1f}/s" if rate >= 0.1 or not rate else f"{60 * rate:.1f}/min"


def _figures(figures: dict[str, float]) -> list[str]:
    return [f"{name} {value:.4g}" for name, value in figures.items()]


def print_estimates(estimates: dict[str, Estimate]) -> None:
    """The table of a run's numbers, on stdout."""
    out = console()
    for line in printed(estimates, out.width):
        out.print(line, soft_wrap=True)


def print_judgment(verb: str, estimates: dict[str, Estimate]) -> None:
    """One sentence on a run's numbers, on stdout."""
    if sentence := judgment([(verb, {name: row.to_json() for name, row in estimates.items()})]):
        lines = broken(printable(sentence), console().width) if sys.stdout.isatty() else [sentence]
        console().print(_plain("\n".join(lines)), soft_wrap=True)


def print_rows(header: list[str], rows: list[list[str]], notes: Sequence[str] = ()) -> None:
    """A sweep's table on stdout, without the last columns where they do not fit, and the notes that belong under it."""
    screen = console()
    columns = [list(column) for column in zip(header, *rows, strict=True)]
    widths = fitting(columns, screen.width)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, width in zip(columns, widths, strict=False):
        table.add_column(_plain(column[0]), overflow="fold", width=width)
    for row in rows:
        table.add_row(*(_plain(cell) for cell in row[: len(widths)]))
    screen.print(table)
    left_out = ", ".join(header[len(widths) :])
    for note in filter(None, (left_out and f"no room for {left_out}: sweep.csv has them", *notes)):
        screen.print(_plain(note), soft_wrap=True)


def fitting(columns: list[list[str]], room: int) -> list[int]:
    """Widths of as many columns as fit, at least one: no word is broken that is shorter than a path, then the leftmost
    columns get what is left."""
    least = [
        min(max(len(word) for cell in column for word in cell.split() or [""]), LONGEST_WORD) for column in columns
    ]
    while len(least) > 1 and sum(least) + len(GAP) * (len(least) - 1) > room:
        least.pop()
    left = max(room - sum(least) - len(GAP) * (len(least) - 1), 0)
    widths = []
    for width, column in zip(least, columns, strict=False):
        more = min(max(map(len, column)) - width, left)
        widths.append(width + more)
        left -= more
    return widths


def console() -> Console:
    """stdout: as wide as the terminal, 120 columns in a file."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def _plain(message: str) -> Text:
    """A cell as it is: brackets are no markup, and nothing in it steers the terminal."""
    return Text(printable(message))
