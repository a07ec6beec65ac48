"""report.html of a sweep: its table with verdicts, its figure, and links to the pages of its members."""

import base64
from pathlib import Path
from typing import Any

from ebm_cli.estimate import show
from ebm_cli.report.page import TEMPLATES, render_template
from ebm_cli.report.sweep_members import Member, Sweep
from ebm_cli.report.sweep_table import columns_of, heads_of, rank, ranking_note
from ebm_cli.run.writing import write_text


def write_sweep_report(folder: Path, sweep: Sweep, caption: str) -> Path:
    """Write report.html of the sweep in `folder`; caption: caption of sweep.png."""
    names = list(dict.fromkeys(name for each in sweep.members for name in each.metrics))
    figure = folder / "sweep.png"
    page = render_template(
        TEMPLATES / "sweep.html",
        title=f"ebm {sweep.verb} -m: {folder.name}",
        folder=str(folder),
        picture=base64.b64encode(figure.read_bytes()).decode() if figure.exists() else "",
        caption=caption,
        keys=heads_of(columns_of(sweep)),
        names=names,
        ranked=bool(sweep.by),
        by="" if sweep.by in names else sweep.by,
        note=ranking_note(sweep),
        members=[member_values(each, sweep, names) for each in sweep.members],
    )
    write_text(folder / "report.html", page)
    return folder / "report.html"


def member_values(member: Member, sweep: Sweep, names: list[str]) -> dict[str, Any]:
    """Return the values of one job that the template shows. A reason that several numbers share appears once."""
    page = f"{member.number}/report.html"
    words = {key: member.values.get(key, "") for key in columns_of(sweep)}
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, metric in member.metrics.items():
        if metric["verdict"] != "ok":
            reasons.setdefault((metric["verdict"], metric.get("reason", "")), []).append(name)
    return {
        "job": member.number,
        "label": " ".join([f"job {member.number}:", *(f"{key}={value}" for key, value in words.items())]),
        "page": page if (member.folder / "report.html").exists() else "",
        "words": list(words.values()),
        "rank": rank(member),
        "best": member.rank == 1,
        "score": "" if member.score is None else show(member.score),
        "cells": [cell(member.metrics.get(name)) for name in names],
        "status": member.status if member.status == "done" else f"{member.status}: {member.reason}".rstrip(": "),
        "cautions": [
            {"names": ", ".join(affected), "verdict": verdict, "reason": reason}
            for (verdict, reason), affected in reasons.items()
        ],
    }


def cell(metric: dict[str, Any] | None) -> dict[str, str]:
    """Return a number with its error, the verdict that gives its color, and its meaning."""
    if metric is None:
        return {"value": "", "verdict": "", "meaning": ""}
    value = "refused" if metric["value"] is None else show(metric["value"], metric.get("se"))
    return {"value": value, "verdict": metric["verdict"], "meaning": metric.get("meaning", "")}
