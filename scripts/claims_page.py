"""Write the results of the claims: claims.csv, a figure NAME.png per claim, and the self-contained page claims.html."""

import base64
import csv
import io
from pathlib import Path
from typing import Any

from ebm_cli.report.page import filled
from ebm_cli.run.writing import write_text
from scripts.founding import Claim

COLUMNS = ("claim", "section", "sentence", "quantity", "relation", "exact", "measured", "se", "verdict")

PAGE = """<style>.holds { color: #00603f; } .fails { color: #a33c00; } h2 { margin-top: 2.6rem; }
blockquote { margin: .4rem 0; padding-left: .8rem; border-left: 3px solid #0072B2; } .toc td:first-child { width: 24%; }</style>
<h1>{{ title }}</h1>
<p>This page checks every claim of the founding text that can be tested at this size: {{ held }} of {{ total }} rows hold.
“Exact” values come from a closed form or from quadrature; ± is one standard error over independent chains or runs. A row
holds if the two values agree within four standard errors; an inequality holds if the difference exceeds four. A claim is
“not so” if its rows hold and show that the text is mistaken.</p>
<div class="scroll"><table class="toc"><thead><tr><th>claim</th><th>in a sentence</th><th>verdict</th></tr></thead><tbody>
{% for claim in claims %}
<tr><td><a href="#{{ claim.name }}">{{ claim.name }}</a></td><td>{{ claim.sentence }}</td>
<td class="verdict {{ claim.tone }}">{{ claim.verdict }}</td></tr>
{% endfor %}
{% for name, reason in failed.items() %}
<tr><td>{{ name }}</td><td>could not be measured: {{ reason }}</td><td class="verdict fails">fails</td></tr>
{% endfor %}
</tbody></table></div>
{% for claim in claims %}
<h2 id="{{ claim.name }}">{{ claim.name }}</h2>
<p class="path">{{ claim.section }}</p>
<blockquote>{{ claim.sentence }}</blockquote>
{% if claim.truth %}<p><b>What is true:</b> {{ claim.truth }}</p>{% endif %}
<div class="scroll"><table><thead><tr><th>quantity</th><th>exact</th><th>measured</th><th>verdict</th></tr></thead><tbody>
{% for row in claim.rows %}
<tr><td>{{ row.quantity }}</td><td class="number">{{ row.exact }}</td><td class="number">{{ row.measured }}</td>
<td class="verdict {{ row.verdict }}">{{ row.verdict }}</td></tr>
{% endfor %}
</tbody></table></div>
<figure><img alt="{{ claim.name }}" src="data:image/png;base64,{{ claim.data }}"><figcaption>{{ claim.caption }}</figcaption></figure>
{% endfor %}
</body></html>
"""


def write(out: Path, finished: dict[str, Claim], failed: dict[str, str]) -> None:
    """Write the CSV, the missing figures, and the page of the claims finished so far."""
    for name, claim in finished.items():
        if not (out / f"{name}.png").exists():
            claim.picture.savefig(out / f"{name}.png", dpi=150)
    write_text(out / "claims.csv", as_csv(finished, failed))
    rows = [row for claim in finished.values() for row in claim.rows]
    page = filled(
        PAGE,
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
