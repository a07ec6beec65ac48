"""The page of `discrete_rivals`: sentences on which tool is ahead, and one table per model."""

from collections.abc import Callable
from typing import Any

from scripts.bench import table
from scripts.bench._lattice_rivals import CHAINS, CRITICAL
from scripts.bench._machine_rivals import SWEEPS
from scripts.bench.discrete_kernels import ENOUGH
from scripts.bench.table import Bar

MAX_DISTANCE = 4.0
LATTICE_COLUMNS = (
    "L",
    "tool",
    "million updates per second",
    "ESS of E per second",
    "set-up, s",
    "energy per site",
    "exact",
    "distance in standard errors",
)
MACHINE_COLUMNS = (
    "chains",
    "tool",
    "sweeps per second",
    "set-up, s",
    f"mean E after {SWEEPS} sweeps",
    "distance from ours in standard errors",
)

# Explanations, from the source of the tools and from the numbers of draws.
NOTES = (
    "Metropolis changes more spins than Gibbs: its ESS per sweep is two to four times as large.",
    "With a machine, `ours` also evaluates E after each sweep, a third product with the weights; rbms has two.",
    "thrml and dwave-samplers store a machine's weights per pair of units, as for any graph.",
    f"†: fewer than {ENOUGH} effective samples per chain, too few for a precise number.",
)

Row = dict[str, Any]


def comparisons(rows: list[Row], place: Callable[[Row], str], what: str, key: str, least: bool = False) -> list[str]:
    """Return one sentence per place: our best number, the best of the other tools, and their ratio.

    place: names the model and size of a row. least: True if the smallest number is the best.
    """
    best, found = min if least else max, []
    for name in dict.fromkeys(map(place, rows)):
        here = {row["tool"]: row[key] for row in rows if place(row) == name}
        own = [tool for tool in here if tool.startswith("ours")]
        others = [tool for tool in here if tool not in own]
        if not own or not others:
            continue
        ours, other = best(own, key=here.__getitem__), best(others, key=here.__getitem__)
        ratio = here[other] / here[ours] if least else here[ours] / here[other]
        outcome = "falls behind" if ratio < 1 else "is ahead"
        figures = f"{table.figure(here[ours])} ({ours}), {table.figure(here[other])} ({other})"
        found.append(
            f"- {name}, {what}: {figures}; ours {outcome} by a factor of {table.figure(max(ratio, 1 / ratio))}."
        )
    return found


def summary(spins: list[Row], units: list[Row]) -> list[str]:
    """Return the sentences on all comparisons, those in which ours falls behind first."""

    def size(row: Row) -> str:
        return f"L = {row['size']}"

    def chains(row: Row) -> str:
        return f"rbm, {row['chains']} chains"

    compiled = [row for row in spins if row["tool"] != "ours, eager"]
    found = [
        *comparisons(spins, size, "million updates per second", "millions"),
        *comparisons(spins, size, "ESS of E per second", "ess_per_second"),
        *comparisons(compiled, size, "seconds of set-up", "set_up", least=True),
        *comparisons(units, chains, "sweeps per second", "sweeps_per_second"),
    ]
    return [*sorted(found, key=lambda sentence: "falls behind" not in sentence), ""]


def signed(distance: float | None) -> str:
    return "–" if distance is None else f"{distance:+.1f}"


def lattice_cells(row: Row) -> list[str]:
    """Return the cells of a tool on a lattice."""
    rates = [table.figure(row[key]) for key in ("millions", "ess_per_second", "set_up")]
    rates[1] += "†" if row["ess"] < ENOUGH * CHAINS else ""
    energies = [f"{row['energy']:.5f} ± {row['se']:.5f}", f"{row['exact']:.5f}", signed(row["distance"])]
    return [str(row["size"]), row["tool"], *rates, *energies]


def machine_cells(row: Row) -> list[str]:
    """Return the cells of a tool on the machine."""
    rates = [table.figure(row[key]) for key in ("sweeps_per_second", "set_up")]
    return [str(row["chains"]), row["tool"], *rates, f"{row['energy']:.2f}", signed(row["distance"])]


def text(spins: list[Row], units: list[Row], repeats: int) -> list[str]:
    """Return the page without its headline and bars."""
    return [
        f"`python -m scripts.bench.discrete_rivals`: medians of {repeats} interleaved repeats; seconds are of the "
        "processor.",
        "Set-up is the time of building the model, compiling and the first call. The first lattice includes imports.\n",
        *summary(spins, units),
        *NOTES,
        "",
        f"## Ising lattice, {CHAINS} chains of L × L spins, T = {CRITICAL:.3f}\n",
        *table.lines(LATTICE_COLUMNS, list(map(lattice_cells, spins))),
        "## Restricted Boltzmann machine, 784 visible and 500 hidden units\n",
        *table.lines(MACHINE_COLUMNS, list(map(machine_cells, units))),
    ]


def bars(spins: list[Row], units: list[Row]) -> list[Bar]:
    """Return the bars: every tool samples the model."""
    exact = [abs(row["distance"]) for row in spins]
    alike = [abs(row["distance"]) for row in units if row["distance"] is not None]
    return [
        Bar("largest distance from the exact energy, standard errors", max(exact, default=None), MAX_DISTANCE, False),
        Bar("largest distance from our mean energy, standard errors", max(alike, default=None), MAX_DISTANCE, False),
    ]
