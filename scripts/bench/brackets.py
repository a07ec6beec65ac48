"""Log Z of energies whose exact value is known: our bracket, ebmkit, pymc, and a plain annealing script.

    python -m scripts.bench.brackets [--rivals PYTHON] [--seeds 20] [--only funnel] [--tools ours,plain]

`ours` is `metric=[log_z]` with the default settings and budget of `ebm evaluate`. Each tool gets the energy, its number
of dimensions and nothing else. No tool gets training rows, and none is told where the modes are.

- `plain`: annealed importance sampling from a standard normal base with 1,000 temperatures, 64 paths and HMC
  (`_plain_annealing.py`), ± 1.96 times its usual standard error.
- `ebmkit`: `ais_log_z` with its defaults (standard normal base, 1,000 temperatures, 64 paths, HMC), then
  `reverse_ais_log_z` from its final states, as its documentation shows. The bracket is the smallest interval that
  contains both values ± 1.96 times their errors. An effective sample size below 2 counts as a caution, because the
  documentation tells users to look at it.
- `pymc`: `sample_smc` with its defaults, four runs. The prior is normal with mean 0 and standard deviation 10 in each
  coordinate, and the likelihood is exp(−E) over the prior. pymc states no error. The interval is the mean of the four
  log marginal likelihoods with Student's interval of 95 %. Its own warnings count as a caution.
- torchebm 0.8.9 has no estimate of log Z.

held: the exact value is inside the stated bounds. excluded: it is outside of them. refused: no value, and no bound
excludes the exact value. failed: an exception, or a number that is not finite. `with caution`: the tool gave a reason
for doubt. Without training rows, ours gives one for every energy beyond one dimension that is not part of this package
and does not declare the width of its narrowest mode. The verdict of a tool without verdicts is ok. Each bound of ours
holds with probability 99.95 % beyond three dimensions: by chance, one answer in a thousand excludes the exact value.

Other tools run in the interpreter PYTHON of an environment of their own, made by
`pip install torch pymc ebmkit torchebm jaxtyping`; without it, only ours and `plain` run. The energies are in
`_bracket_cases.py`, all at T = 1. Finished rows are in brackets.json and are not measured again. Seconds are CPU time
on one thread.
"""

import argparse
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ebm_cli import partition
from ebm_cli.cli.compose import compose
from ebm_cli.cli.loader import Base
from ebm_cli.partition import Budget, Integrand
from ebm_cli.partition.settings import DEFAULT_SETTINGS
from scripts.bench import _bracket_page as page
from scripts.bench import table
from scripts.bench._bracket_cases import CASES
from scripts.bench._bracket_row import Row, Tool, interval, measured_row
from scripts.bench._plain_annealing import plain_annealing
from scripts.bench.table import Bar

Job = tuple[str, int]

ROOT = Path(__file__).parents[2]
RIVALS = ("ebmkit", "pymc")
SEEDS, RIVAL_SEEDS, ENERGIES = 20, 3, 10


def ours(name: str, seed: int) -> Row:
    """Return log Z by the method and the budget of `ebm evaluate`."""
    case, limits = CASES[name], compose("evaluate", [], Base())
    integrand = Integrand(case.energy(), 1.0, (case.d,), None, seed)
    found = partition.log_z(integrand, DEFAULT_SETTINGS, Budget(limits["budget"], limits["target"])).estimate
    bounds = {"value": found.value, "lower": found.lower, "upper": found.upper}
    return bounds | {"verdict": found.verdict, "reason": found.reason}


def plain(name: str, seed: int) -> Row:
    """Return the value of the plain script, ± 1.96 of its standard error."""
    case = CASES[name]
    value, error = plain_annealing(case.energy(), case.d, seed)
    return interval(value, 1.96 * error)


HERE: dict[str, Tool] = {"ours": ours, "plain": plain}
TOOLS = (*HERE, *RIVALS)


def rows_of(tool: str, jobs: list[Job], python: str | None) -> Iterator[Row]:
    """Yield the rows of these energies and seeds; none for a tool of another environment that is not given."""
    if tool in HERE:
        yield from (measured_row(tool, HERE[tool], name, seed) for name, seed in jobs)
    elif python is not None and jobs:
        yield from map(json.loads, in_rivals(python, tool, json.dumps(jobs)))


def in_rivals(python: str, *words: str) -> Iterator[str]:
    """Yield the lines that `_bracket_rivals` prints in the other environment."""
    command = [python, "-m", "scripts.bench._bracket_rivals", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from process.stdout
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:4])} failed with exit code {process.returncode}")


def measured(place: Path, names: list[str], tools: list[str], seeds: int, python: str | None) -> dict[str, Any]:
    """Return the record of the file with all rows; every new row is written at once."""
    record: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {}
    rows: list[Row] = record.setdefault("rows", [])
    if python is not None:
        record["rivals"] = json.loads(next(in_rivals(python, "versions")))
    done = {(row["energy"], row["tool"], row["seed"]) for row in rows}
    for tool in tools:
        wanted = seeds if tool == "ours" else min(seeds, RIVAL_SEEDS)
        jobs = [(name, seed) for seed in range(wanted) for name in names if (name, tool, seed) not in done]
        for row in rows_of(tool, jobs, python):
            rows.append(row)
            place.write_text(json.dumps(record, indent=1) + "\n")
    return record


def text(exact: dict[str, float], record: dict[str, Any]) -> list[str]:
    """Return the page below the machine: what is compared, the judgments per tool, and one line per energy and tool."""
    assert __doc__ is not None
    rows = record["rows"]
    tools = [tool for tool in TOOLS if any(row["tool"] == tool for row in rows)]
    missing = [tool for tool in TOOLS if tool not in tools]
    notes = [f"Not run: {', '.join(missing)}. {' and '.join(RIVALS)} need `--rivals`.", ""] if missing else []
    if versions := record.get("rivals"):
        notes += ["Versions of the other tools: " + ", ".join(f"{n} {v}" for n, v in versions.items()) + ".", ""]
    notes += [
        f"Seeds per energy so far: {page.seeds(rows, exact, tools)}. The same command measures those that lack.",
        "",
    ]
    sizes = {name: case.d for name, case in CASES.items()}
    return [
        *__doc__.split("\n\n", 2)[2].splitlines(),
        "",
        *notes,
        *page.summary(exact, rows, tools),
        *page.details(exact, sizes, rows, tools),
        *page.exclusions(exact, rows),
    ]


def bars(exact: dict[str, float], rows: list[Row]) -> list[Bar]:
    """Return the bars: energies, seeds of ours on each, and how often ours excludes the exact value under ok."""
    mine = [row for row in rows if row["tool"] == "ours"]
    seeds = min(sum(row["energy"] == name for row in mine) for name in exact)
    wrong = page.counts(exact, mine)["excluded"]
    return [
        Bar("energies", len({row["energy"] for row in mine}), ENERGIES, least=True),
        Bar("seeds of ours, minimum over energies", seeds, SEEDS, least=True),
        Bar("answers of ours that exclude the exact value without a caution", wrong if mine else None, 0, least=False),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rivals", metavar="PYTHON", help="interpreter of an environment with the other tools")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds of ours; other tools have at most three")
    parser.add_argument("--only", default="", help="run only energies with this text in their name")
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder of the files")
    options = parser.parse_args()
    place, names = options.out / "brackets", [name for name in CASES if options.only in name]
    tools = options.tools.split(",")
    # A page without new rows would look like a measurement.
    if not names:
        parser.error(f"--only {options.only} is in no name. The energies are {'; '.join(CASES)}")
    if not set(tools) <= set(TOOLS):
        parser.error(f"--tools must be of {','.join(TOOLS)}, got {options.tools}")
    if options.seeds < 1:
        parser.error(f"--seeds must be >= 1, got {options.seeds}")
    if options.rivals is not None and shutil.which(options.rivals) is None:
        parser.error(f"--rivals {options.rivals} is no interpreter")
    table.alone()
    record = measured(place.with_suffix(".json"), names, tools, options.seeds, options.rivals)
    kept = {key: record[key] for key in ("rivals", "rows") if key in record}
    exact = {name: case.exact() for name, case in CASES.items()}
    table.write(place, table.machine("cpu"), text(exact, kept), kept | {"exact": exact}, bars(exact, kept["rows"]))


if __name__ == "__main__":
    main()
