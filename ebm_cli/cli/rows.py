"""Lay out tables as lines of text that fit a terminal."""

import textwrap
from collections.abc import Iterable
from itertools import zip_longest

from rich.text import Text

from ebm_cli.estimate import Estimate, show
from ebm_cli.report.judgment import own_reasons
from ebm_cli.run.terminal import printable

COLORS = {"ok": "green", "caution": "yellow", "refused": "red"}
GAP = "  "
# Minimum width of meaning and reasons next to their number. With less room they are below it.
MIN_WORDS_WIDTH = 36
MAX_VALUE_WIDTH = 34
# A column is made wide enough for its longest word, up to this width.
MAX_WORD_WIDTH = 20


def estimate_lines(estimates: dict[str, Estimate], width: int) -> list[Text]:
    """Return the lines of the table of a run's numbers.

    No word is broken, so a line exceeds `width` if a word is longer than its column.
    """
    cells = estimate_cells(estimates)
    names = max(len(name) for name in ("quantity", *(cell[0] for cell in cells)))
    verdicts = max(len(cell[2]) for cell in cells)
    room = width - names - verdicts - 2 * len(GAP)
    values = min(max(len(cell[1]) for cell in cells), MAX_VALUE_WIDTH, max(room, 1))
    words_width = room - values - len(GAP)
    has_right = any(cell[3] for cell in cells) and words_width >= MIN_WORDS_WIDTH
    widths = [names, values, verdicts, 0]
    heading = "meaning, and reason for doubt" if has_right else ""
    lines = [Text(padded_line(["quantity", "value", "verdict", heading], widths), style="bold")]
    for name, value, verdict, words in cells:
        right = wrap_words(words, words_width) if has_right else []
        for row in zip_longest([name], wrap_words(value, values), [verdict], right, fillvalue=""):
            line = Text(padded_line(row, widths))
            start = names + values + 2 * len(GAP)
            line.stylize(COLORS[verdict], start, start + len(row[2]))
            lines.append(line)
        if not has_right:
            lines += [Text(2 * GAP + line) for line in wrap_words(words, width - 2 * len(GAP))]
    return lines


def estimate_cells(estimates: dict[str, Estimate]) -> list[tuple[str, str, str, str]]:
    """Return name, value with unit, verdict, and meaning with reasons, all without control characters."""
    rows = {name: estimate.to_json() for name, estimate in estimates.items()}
    cells = []
    for name, estimate in estimates.items():
        value = " ".join(filter(None, (show(estimate.value, estimate.se), estimate.unit)))
        words = "\n".join(filter(None, (estimate.meaning, own_reasons(name, rows))))
        cells.append((printable(name), printable(value), estimate.verdict, printable(words)))
    return cells


def table_lines(rows: list[list[str]], widths: list[int]) -> list[str]:
    """Return the lines of a table, with one column per width; a word that is longer than its column is broken."""
    lines = []
    for row in rows:
        cells = [wrap_words(cell, width, break_long=True) for cell, width in zip(row, widths, strict=False)]
        lines += [padded_line(line, widths) for line in zip_longest(*cells, fillvalue="")]
    return lines


def column_widths(rows: list[list[str]], room: int) -> list[int]:
    """Return the widths of the columns that fit into `room`, of the first column in any case.

    Each column is wide enough for its longest word, up to 20 letters. The leftmost columns get the remaining room.
    """
    columns = list(zip(*rows, strict=True))
    widths = [
        min(max(len(word) for cell in column for word in cell.split() or [""]), MAX_WORD_WIDTH) for column in columns
    ]
    while len(widths) > 1 and sum(widths) + len(GAP) * (len(widths) - 1) > room:
        widths.pop()
    rest = max(room - sum(widths) - len(GAP) * (len(widths) - 1), 0)
    for i, width in enumerate(widths):
        widths[i] += min(max(map(len, columns[i])) - width, rest)
        rest -= widths[i] - width
    return widths


def padded_line(cells: Iterable[str], widths: Iterable[int]) -> str:
    """Return one line of a table."""
    return GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def wrap_words(text: str, width: int, break_long: bool = False) -> list[str]:
    """Return lines of up to `width` letters. A longer word is broken with `break_long`, and otherwise is one line."""
    return [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(paragraph, max(width, 1), break_long_words=break_long, break_on_hyphens=False)
    ]
