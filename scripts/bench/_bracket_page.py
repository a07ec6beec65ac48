"""The tables of `brackets`: judgments per tool, and one line per energy and tool."""

from collections import Counter
from collections.abc import Iterable, Mapping

from ebm_cli.estimate import digits
from scripts.bench import table
from scripts.bench._bracket_row import JUDGMENTS, Row, judgment

EXCLUDED = ("excluded", "excluded with caution")


def span(values: Iterable[float], count: int) -> str:
    """Return the smallest and the largest value with so many digits, or one if they print alike."""
    printed = [digits(value, count) for value in sorted(values)]
    if not printed:
        return "–"
    return printed[0] if printed[0] == printed[-1] else f"{printed[0]} to {printed[-1]}"


def half_widths(rows: list[Row]) -> list[float]:
    """Return half the distance of the bounds, of rows with a value and both bounds."""
    return [
        (row["upper"] - row["lower"]) / 2
        for row in rows
        if row["value"] is not None and row["lower"] is not None and row["upper"] is not None
    ]


def seeds(rows: list[Row], names: Iterable[str], tools: Iterable[str]) -> str:
    """Return the smallest and the largest number of seeds per energy of each tool."""
    run = Counter((row["tool"], row["energy"]) for row in rows)
    each = {tool: [run[tool, name] for name in names] for tool in tools}
    return ", ".join(f"{tool} {span(numbers, 3)}" for tool, numbers in each.items())


def counts(exact: Mapping[str, float], rows: list[Row]) -> Counter[str]:
    """Return how many rows have each judgment."""
    return Counter(judgment(exact[row["energy"]], row) for row in rows)


def judged(exact: Mapping[str, float], rows: list[Row]) -> str:
    """Return the counts in words, exclusions in bold."""
    found = counts(exact, rows)
    words = [f"{name} {found[name]}" for name in JUDGMENTS if found[name]]
    return ", ".join(f"**{word}**" if word.startswith(EXCLUDED) else word for word in words)


def summary(exact: Mapping[str, float], rows: list[Row], tools: Iterable[str]) -> list[str]:
    """Return a table of the judgments of each tool, over all energies and seeds."""
    body = []
    for tool in tools:
        mine = [row for row in rows if row["tool"] == tool]
        found = counts(exact, mine)
        median = sorted(row["seconds"] for row in mine)[len(mine) // 2] if mine else None
        body.append([tool, str(len(mine)), *(str(found[name]) for name in JUDGMENTS), table.figure(median)])
    return table.lines(["tool", "answers", *JUDGMENTS, "median s"], body)


def details(exact: Mapping[str, float], sizes: Mapping[str, int], rows: list[Row], tools: Iterable[str]) -> list[str]:
    """Return a table with one line per energy and tool that was run."""
    body = []
    for name, truth in exact.items():
        for tool in tools:
            mine = [row for row in rows if row["energy"] == name and row["tool"] == tool]
            if not mine:
                continue
            values = [row["value"] for row in mine if row["value"] is not None]
            off = max((abs(value - truth) for value in values), default=None)
            # A bar would end a cell.
            head = [name.replace("|", r"\|"), str(sizes[name]), digits(truth, 5)]
            numbers = [span(values, 4), span(half_widths(mine), 2), table.figure(off)]
            body.append([*head, tool, *numbers, judged(exact, mine), table.figure(max(row["seconds"] for row in mine))])
    return table.lines(
        ["energy", "d", "exact", "tool", "value", "stated ±", "largest error", "judgment", "maximum s"], body
    )


def exclusions(exact: Mapping[str, float], rows: list[Row]) -> list[str]:
    """Return one line per answer of ours whose bounds exclude the exact value."""
    lines = []
    for row in rows:
        if row["tool"] == "ours" and judgment(exact[row["energy"]], row) in EXCLUDED:
            lower, upper = (printed_bound(row[key]) for key in ("lower", "upper"))
            where = f"{row['energy']}, seed {row['seed']}: {lower} to {upper}, exact {digits(exact[row['energy']], 5)}"
            lines.append(f"- {where}, {row['verdict']}")
    return ["Our answers that exclude the exact value:", "", *(lines or ["- none"]), ""]


def printed_bound(bound: float | None) -> str:
    """Return a bound with five digits."""
    return "no bound" if bound is None else digits(bound, 5)
