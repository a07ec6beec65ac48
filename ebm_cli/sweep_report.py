"""report.html of a sweep: its table with verdicts, its picture, and the way to each member's own page."""

import base64
from pathlib import Path
from typing import Any

from ebm_cli.estimate import show
from ebm_cli.report import filled
from ebm_cli.run import Run, write_text

PAGE = """<h1>{{ title }}</h1>
<p class="path">{{ folder }}</p>
{% if picture %}
<figure><img alt="sweep" src="data:image/png;base64,{{ picture }}"><figcaption>{{ caption }}</figcaption></figure>
{% endif %}
<h2>Members</h2>
<div class="scroll"><table><thead><tr><th>job</th>{% for key in keys %}<th>{{ key }}</th>{% endfor %}
{% for name in names %}<th>{{ name }}</th>{% endfor %}<th>status</th></tr></thead><tbody>
{% for member in members %}
<tr><td>{% if member.page %}<a href="{{ member.page }}">{{ member.job }}</a>{% else %}{{ member.job }}{% endif %}</td>
{% for value in member.words %}<td>{{ value }}</td>{% endfor %}
{% for cell in member.cells %}<td class="number {{ cell.verdict }}">{{ cell.value }}
{% if cell.meaning %}<br><small>{{ cell.meaning }}</small>{% endif %}</td>{% endfor %}
<td>{{ member.status }}</td></tr>
{% endfor %}
</tbody></table></div>
<p class="path">Green: trust the value within its error. Brown: the value stands, under caution. Red: refused. ± is one
standard error. A job's number leads to its own page.</p>
<h2>What to doubt</h2>
{% for member in members if member.doubts %}
<p><strong>{{ member.label }}</strong></p><div class="scroll"><table class="cards"><tbody>
{% for doubt in member.doubts %}
<tr><td></td><td>{{ doubt.names }}</td><td></td><td class="verdict {{ doubt.verdict }}">{{ doubt.verdict }}</td>
<td>{{ doubt.reason }}</td></tr>
{% endfor %}
</tbody></table></div>
{% else %}
<p>Nothing: every number of every member is ok.</p>
{% endfor %}
</body></html>
"""


def write_sweep_report(folder: Path, verb: str, keys: list[str], rows: list[dict[str, str]], caption: str) -> Path:
    """Write report.html of the sweep in `folder`; rows as in sweep.csv, caption that of sweep.png."""
    metrics = [metrics_of(folder / row["job"], row["status"]) for row in rows]
    names = list(dict.fromkeys(name for each in metrics for name in each))
    drawn = folder / "sweep.png"
    page = filled(
        PAGE,
        title=f"ebm {verb} -m: {folder.name}",
        folder=str(folder),
        picture=base64.b64encode(drawn.read_bytes()).decode() if drawn.exists() else "",
        caption=caption,
        keys=keys,
        names=names,
        members=[member(folder, row, keys, names, each) for row, each in zip(rows, metrics, strict=True)],
    )
    write_text(folder / "report.html", page)
    return folder / "report.html"


def metrics_of(folder: Path, status: str) -> dict[str, Any]:
    """The numbers of a member that is done."""
    return Run(folder).metrics() if status == "done" else {}


def member(
    folder: Path, row: dict[str, str], keys: list[str], names: list[str], metrics: dict[str, Any]
) -> dict[str, Any]:
    """What the page shows of one member; reasons that several of its numbers share are said once."""
    page = f"{row['job']}/report.html"
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, metric in metrics.items():
        if metric["verdict"] != "ok":
            reasons.setdefault((metric["verdict"], metric.get("reason", "")), []).append(name)
    return {
        "job": row["job"],
        "label": " ".join([f"job {row['job']}:", *(f"{key}={row[key]}" for key in keys)]),
        "page": page if (folder / page).exists() else "",
        "words": [row[key] for key in keys],
        "cells": [cell(metrics.get(name)) for name in names],
        "status": ": ".join(filter(None, (row["status"], row["reason"]))),
        "doubts": [
            {"names": ", ".join(shared), "verdict": verdict, "reason": reason}
            for (verdict, reason), shared in reasons.items()
        ],
    }


def cell(metric: dict[str, Any] | None) -> dict[str, str]:
    """A number with its error, coloured by its verdict, and what it means in plain words."""
    if metric is None:
        return {"value": "", "verdict": "", "meaning": ""}
    value = "refused" if metric["value"] is None else show(metric["value"], metric.get("se"))
    return {"value": value, "verdict": metric["verdict"], "meaning": metric.get("meaning", "")}
