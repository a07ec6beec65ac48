"""The terminal of a user: progress bars and messages on stderr, tables on stdout, and signals that stop a verb."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task, TextColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from ebm_cli.cli.rows import column_widths, estimate_lines, table_lines, wrap_words
from ebm_cli.estimate import Estimate
from ebm_cli.report.judgment import judgment
from ebm_cli.run.terminal import Ticker, printable

# Seconds between two lines of progress in a log file, and between two updates of a bar.
LINE_SECONDS, BAR_SECONDS = 10.0, 0.1
# Columns of a bar. Details are dropped before a bar becomes narrower than the minimum.
MIN_BAR, MAX_BAR = 10, 40


class ConsoleTerminal:
    """Shows progress with its rate and the time left: a bar on a terminal, a line every ten seconds in a file.

    After the first SIGINT or SIGTERM, the verb stops at the end of its step. A second signal kills the process.
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
        again = "Press Ctrl-C again" if number == signal.SIGINT else "Send SIGTERM again"
        self.say(f"Stopping after this step. {again} to quit immediately.")

    def say(self, message: str) -> None:
        """Print a message, on one line or, on a terminal, wrapped between words."""
        text = printable(message)
        lines = wrap_words(text, self.errors.width) if self.errors.is_terminal else [text]
        self.errors.print("\n".join(lines), markup=False, soft_wrap=True)

    def stopping(self) -> bool:
        return self.signal is not None

    @contextmanager
    def task(self, name: str, total: int | None, begin: int = 0) -> Iterator[Ticker]:
        """Show the progress of a task inside the block. The bar of an inner task appears below the outer one.

        total: the last step; None if unknown.
        begin: the step from which the task starts.
        """
        if not self.errors.is_terminal:
            yield self._line_ticker(name, total, begin)
        elif self.progress is not None:
            yield from self._bar_ticker(self.progress, name, total, begin)
        else:
            columns = (TextColumn("{task.description}"), Bar(), TextColumn("{task.fields[words]}", markup=False))
            try:
                with Progress(*columns, console=self.errors, refresh_per_second=4) as self.progress:
                    yield from self._bar_ticker(self.progress, name, total, begin)
            finally:
                self.progress = None

    @staticmethod
    def _bar_ticker(progress: Progress, name: str, total: int | None, begin: int) -> Iterator[Ticker]:
        """Yield the ticker of a bar, and remove the bar after the task."""

        def layout(done: float, left: str, details: list[str]) -> dict[str, Any]:
            width, words = bar_layout(progress.console.width, name, step_text(done, total), left, details)
            return {"completed": done, "width": width, "words": words}

        def show(done: float, rate: float, figures: dict[str, float]) -> None:
            left = seconds_left(done, total, rate)
            details = [rate_text(rate), *figure_texts(figures)]
            progress.update(task, **layout(done, "" if left is None else clock(left), details))

        task = progress.add_task(name, total=total, **layout(begin, "", []))
        try:
            yield ticker(show, BAR_SECONDS, begin, total)
        finally:
            progress.remove_task(task)

    def _line_ticker(self, name: str, total: int | None, begin: int) -> Ticker:
        def show(done: float, rate: float, figures: dict[str, float]) -> None:
            left = seconds_left(done, total, rate)
            words = [rate_text(rate), "" if left is None else f"{left:.0f} s left", *figure_texts(figures)]
            self.say("  ".join(filter(None, [f"{name} {step_text(done, total)}", *words])))

        return ticker(show, LINE_SECONDS, begin)


def ticker(
    show: Callable[[float, float, dict[str, float]], None], every: float, begin: int, total: int | None = None
) -> Ticker:
    """Return a ticker that calls show(done, rate, figures) every `every` seconds and at step `total`, if given."""
    first = last = time.monotonic()

    def tick(done: float, **figures: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > every or (total is not None and done >= total):
            last = now
            show(done, (done - begin) / max(now - first, 1e-9), figures)

    return tick


class Bar(ProgressColumn):
    """The bar of a task. The task's field `width` gives its width."""

    def render(self, task: Task) -> ProgressBar:
        return ProgressBar(total=task.total, completed=task.completed, width=task.fields["width"])


def bar_layout(console: int, name: str, step: str, left: str, details: list[str]) -> tuple[int, str]:
    """Return the width of a bar and the words after it: the step, the time left, and all details that fit."""
    words = "  ".join(filter(None, [step, left]))
    room = console - len(name) - len(words) - 3
    for detail in details:
        if room - len(detail) - 2 < MIN_BAR:
            break
        words += f"  {detail}"
        room -= len(detail) + 2
    return max(min(room, MAX_BAR), 1), words


def step_text(done: float, total: int | None) -> str:
    """Return the number of finished steps, out of `total` if it is known."""
    return f"{int(done)}" if total is None else f"{int(done)}/{total}"


def seconds_left(done: float, total: int | None, rate: float) -> float | None:
    """Return the seconds to the end at this rate (≥ 0); None if unknown."""
    return max(total - done, 0) / rate if total is not None and rate > 0 else None


def clock(seconds: float) -> str:
    """Return seconds as 0:05 left or 1:02:03 left."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d} left" if hours else f"{minutes}:{rest:02d} left"


def rate_text(rate: float) -> str:
    """Return a rate per second, or per minute if it is below 0.1 per second."""
    return f"{rate:.1f}/s" if rate >= 0.1 or not rate else f"{60 * rate:.1f}/min"


def figure_texts(figures: dict[str, float]) -> list[str]:
    """Return each number with its name."""
    return [f"{name} {value:.4g}" for name, value in figures.items()]


def print_estimates(estimates: dict[str, Estimate]) -> None:
    """Print the table of a run's numbers on stdout."""
    out = stdout_console()
    for line in estimate_lines(estimates, out.width):
        out.print(line, soft_wrap=True)


def print_judgment(verb: str, estimates: dict[str, Estimate]) -> None:
    """Print one sentence on a run's numbers on stdout."""
    if sentence := judgment([(verb, {name: row.to_json() for name, row in estimates.items()})]):
        out = stdout_console()
        lines = wrap_words(printable(sentence), out.width) if sys.stdout.isatty() else [printable(sentence)]
        # A Text is printed without markup.
        out.print(Text("\n".join(lines)), soft_wrap=True)


def print_rows(header: list[str], rows: list[list[str]], notes: Sequence[str] = ()) -> None:
    """Print a sweep's table on stdout, without the last columns if they do not fit, followed by the notes."""
    out = stdout_console()
    table = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = column_widths(table, out.width)
    heading = table_lines(table[:1], widths)
    for i, line in enumerate([*heading, *table_lines(table[1:], widths)]):
        out.print(Text(line, style="bold" if i < len(heading) else ""), soft_wrap=True)
    left_out = ", ".join(header[len(widths) :])
    for note in filter(None, (left_out and f"no room for {left_out}: sweep.csv has them", *notes)):
        out.print(Text(printable(note)), soft_wrap=True)


def stdout_console() -> Console:
    """Return a console on stdout, with the width of the terminal, or 120 columns for a file."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)
