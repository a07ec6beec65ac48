"""The table of a run's numbers as lines of text that fit a terminal: what is normal is left out, no word is broken."""

import textwrap

from rich.text import Text

from ebm_cli.estimate import Estimate, show
from ebm_cli.report.judgment import own_reasons
from ebm_cli.run.terminal import printable

COLORS = {"ok": "green", "caution": "yellow", "refused": "red"}
GAP = "  "
# Meaning and reasons stand next to their number if so many columns are left for them, else below it.
LEAST_WORDS = 36
MOST_VALUE = 34


def printed(estimates: dict[str, Estimate], width: int) -> list[Text]:
    """The lines of the table, at most `width` columns wide but for words that are longer."""
    rows = {name: estimate.to_json() for name, estimate in estimates.items()}
    told = {name: filter(None, (estimate.meaning, own_reasons(name, rows))) for name, estimate in estimates.items()}
    cells = {name: cells_of(name, estimate, "\n".join(told[name])) for name, estimate in estimates.items()}
    names = max(len(name) for name in ("quantity", *(cell[0] for cell in cells.values())))
    verdicts = max(len(estimate.verdict) for estimate in estimates.values())
    room = width - names - verdicts - 2 * len(GAP)
    values = min(max(len(cell[1]) for cell in cells.values()), MOST_VALUE, max(room, 1))
    beside = room - values - len(GAP)
    has_words = any(words for _, _, words in cells.values())
    heading = "meaning, and reason for doubt" if has_words and beside >= LEAST_WORDS else ""
    header = ("quantity".ljust(names), "value".ljust(values), "verdict".ljust(verdicts), heading)
    lines = [Text(GAP.join(header).rstrip(), style="bold")]
    for name, estimate in estimates.items():
        head, value, words = cells[name]
        left = broken(value, values)
        right = broken(words, beside) if heading else []
        below = [] if heading else broken(words, width - 2 * len(GAP))
        for i in range(max(len(left), len(right), 1)):
            shown = (head if i == 0 else "").ljust(names) + GAP + (left[i] if i < len(left) else "").ljust(values)
            line = Text(shown + GAP)
            line.append((estimate.verdict if i == 0 else "").ljust(verdicts), style=COLORS[estimate.verdict])
            line.append(GAP + right[i] if i < len(right) else "")
            line.rstrip()
            lines.append(line)
        lines += [Text(2 * GAP + each) for each in below]
    return lines


def cells_of(name: str, estimate: Estimate, words: str) -> tuple[str, str, str]:
    """Name, value with its unit, and words, as text that does not steer a terminal."""
    value = " ".join(filter(None, (show(estimate.value, estimate.se), estimate.unit)))
    return printable(name), printable(value), printable(words)


def broken(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken between words only."""
    return [
        line
        for paragraph in text.splitlines()
        for line in textwrap.wrap(paragraph, max(width, 1), break_long_words=False, break_on_hyphens=False)
    ]
