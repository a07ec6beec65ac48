"""Write the results of the claims: claims.csv, a figure NAME.png per claim, and the self-contained page claims.html."""

import base64
import csv
import io
from pathlib import Path
from typing import Any

from ebm_cli.report.page import render_template
from ebm_cli.run.writing import write_text
from scripts.founding import Claim

TEMPLATE = Path(__file__).with_name("claims.html")
COLUMNS = ("claim", "section", "sentence", "quantity", "relation", "exact", "measured", "se", "verdict")


def write(out: Path, finished: dict[str, Claim], failed: dict[str, str]) -> None:
    """Write the CSV, the missing figures, and the page of the claims finished so far."""
    for name, claim in finished.items():
        if not (out / f"{name}.png").exists():
            claim.picture.savefig(out / f"{name}.png", dpi=150)
    write_text(out / "claims.csv", as_csv(finished, failed))
    rows = [row for claim in finished.values() for row in claim.rows]
    page = render_template(
        TEMPLATE,
        title="The founding text, claim by claim",
        held=sum(row.holds for row in rows),
        total=len(rows),
        claims=[shown(name, claim, out / f"{name}.png") for name, claim in finished.items()],
        failed=failed,
    )
    write_text(out / "claims.html", page)


def verdict(holds: bool) -> str:
    return "holds" if holds else "fails"


def as_csv(finished: dict[str, Claim], failed: dict[str, str]) -> str:
    """Return one line per row; a claim that could not be measured gets one line with the reason."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for name, claim in finished.items():
        for row in claim.rows:
            numbers = (row.relation, row.exact, row.measured, row.se, verdict(row.holds))
            table.writerow([name, claim.section, claim.sentence, row.quantity, *numbers])
    for name, reason in failed.items():
        table.writerow([name, "", f"could not be measured: {reason}", "", "", "", "", "", "fails"])
    return text.getvalue()


def shown(name: str, claim: Claim, picture: Path) -> dict[str, Any]:
    """Return the values that the page shows for one claim."""
    rows = []
    for row in claim.rows:
        exact, measured = row.shown
        rows.append({"quantity": row.quantity, "exact": exact, "measured": measured, "verdict": verdict(row.holds)})
    return {
        "name": name,
        "section": claim.section,
        "sentence": claim.sentence,
        "truth": claim.truth,
        "rows": rows,
        "verdict": claim.verdict,
        "tone": "holds" if claim.verdict == "holds" else "fails",
        "caption": claim.caption,
        "data": base64.b64encode(picture.read_bytes()).decode(),
    }
