"""Reproduce the founding text claim by claim: a table here, claims.csv, a figure each and one page in outputs/claims.

    python scripts/claims.py [NAME …]

All claims without names, else those named. The last line is the page. Exit code 0 when every row holds, 1 when one does
not or a claim could not be measured, 2 for a name that is no claim, 130 after Ctrl-C and 143 after SIGTERM, what was
finished kept.
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
# So that this file runs as it stands and finds the package beside it.
sys.path.insert(0, str(ROOT))

from ebm_cli import check, figure  # noqa: E402
from scripts import claims_page, founding  # noqa: E402
from scripts.founding import Claim  # noqa: E402


def main(arguments: list[str], out: Path = ROOT / "outputs" / "claims") -> int:
    known = founding.names()
    wrong = [name for name in arguments if name not in known]
    if wrong:
        named = "; ".join(f"{name} is no claim{check.nearest(name, known)}" for name in wrong)
        sys.stderr.write(f"{named}; claims: {', '.join(known)}\n")
        return 2
    signal.signal(signal.SIGTERM, end)
    chosen = [name for name in known if name in arguments] or known
    return run({name: founding.measurer(name) for name in chosen}, out)


def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """SIGTERM ends as Ctrl-C does, with its own exit code."""
    raise SystemExit(128 + number)


def run(claims: dict[str, Callable[[Path], Claim]], out: Path) -> int:
    """Measure these claims one after another, each written down as it is finished; returns the exit code."""
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
    """Put the claim under its name into `finished`, or the reason why there is none into `failed`."""
    with tempfile.TemporaryDirectory(prefix=f"ebm-claim-{name}-") as place:
        try:
            with mpl.rc_context(figure.STYLE):
                finished[name] = measure(Path(place))
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"


def table(finished: dict[str, Claim]) -> Table:
    """A row of the terminal's table for each row of each claim."""
    shown = Table("claim", "quantity", "exact", "measured", "verdict")
    for name, claim in finished.items():
        for row in claim.rows:
            verdict = "[green]holds[/]" if row.holds else "[bold red]fails[/]"
            shown.add_row(name if row is claim.rows[0] else "", row.quantity, *row.shown, verdict)
        shown.add_section()
    return shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
