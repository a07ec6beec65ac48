"""Check the founding text claim by claim; write claims.csv, a figure per claim and claims.html to outputs/claims.

    python scripts/claims.py [NAME …]

Without names all claims are checked. The last line of stdout is the path of the page. Exit codes: 0 if every row holds;
1 if a row fails or a claim could not be measured; 2 for an unknown name; 130 after Ctrl-C and 143 after SIGTERM. Claims
that were finished by then are kept.
"""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import matplotlib as mpl
import torch
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
# Make the package importable if this file is run as a script.
sys.path.insert(0, str(ROOT))

from ebm_cli import check, figure  # noqa: E402
from scripts import claims_page, founding  # noqa: E402
from scripts.founding import Claim  # noqa: E402


def main(arguments: list[str], out: Path = ROOT / "outputs" / "claims") -> int:
    known = founding.names()
    wrong = [name for name in arguments if name not in known]
    if wrong:
        named = "; ".join(f"{name} is no claim{check.nearest_hint(name, known)}" for name in wrong)
        sys.stderr.write(f"{named}; claims: {', '.join(known)}\n")
        return 2
    signal.signal(signal.SIGTERM, end)
    chosen = [name for name in known if name in arguments] or known
    return run({name: founding.measurer(name) for name in chosen}, out)


def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """Turn SIGTERM into an exit like that of Ctrl-C, with its own exit code."""
    raise SystemExit(128 + number)


def run(claims: dict[str, Callable[[Path], Claim]], out: Path) -> int:
    """Measure the claims one after another, write each result at once, and return the exit code."""
    torch.set_num_threads(1)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    console = Console()
    finished: dict[str, Claim] = {}
    failed: dict[str, str] = {}
    stopped, began = 0, time.monotonic()
    try:
        for number, (name, measure) in enumerate(claims.items(), 1):
            measured(name, measure, finished, failed)
            claims_page.write(out, finished, failed)
            said = failed.get(name) or finished[name].verdict
            sys.stderr.write(f"{number}/{len(claims)} {name}: {said}, {time.monotonic() - began:.0f} s\n")
    except KeyboardInterrupt:
        stopped = 130
    except SystemExit as signalled:
        stopped = int(signalled.code or 1)
    console.print(table(finished))
    for name, reason in failed.items():
        sys.stderr.write(f"{name} could not be measured: {reason}\n")
    if stopped:
        sys.stderr.write(f"interrupted: {len(finished)} of {len(claims)} claims finished, kept in {out}\n")
        return stopped
    print(out / "claims.html")
    return int(bool(failed) or not all(claim.holds for claim in finished.values()))


def measured(name: str, measure: Callable[[Path], Claim], finished: dict[str, Claim], failed: dict[str, str]) -> None:
    """Store the claim in `finished` under its name, or the reason for its failure in `failed`."""
    with tempfile.TemporaryDirectory(prefix=f"ebm-claim-{name}-") as place:
        try:
            with mpl.rc_context(figure.STYLE):
                finished[name] = measure(Path(place))
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"


def table(finished: dict[str, Claim]) -> Table:
    """Return the table for the terminal, with one row per row of each claim."""
    shown = Table("claim", "quantity", "exact", "measured", "verdict")
    for name, claim in finished.items():
        for row in claim.rows:
            verdict = "[green]holds[/]" if row.holds else "[bold red]fails[/]"
            shown.add_row(name if row is claim.rows[0] else "", row.quantity, *row.shown, verdict)
        shown.add_section()
    return shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
