"""report.html of a sweep: its table with verdicts, its picture, and the way to each member's own page."""

import base64
from pathlib import Path
from typing import Any

from ebm_cli.estimate import show
from ebm_cli.report.page import TEMPLATES, filled
from ebm_cli.report.sweep_members import Member, Sweep
from ebm_cli.report.sweep_table import columns_of, heads_of, rank, ranking_note
from ebm_cli.run.writing import write_text


def write_sweep_report(folder: Path, sweep: Sweep, caption: str) -> Path:
    """Write report.html of the sweep in `folder`; caption: that of sweep.png."""
    names = list(dict.fromkeys(name for each in sweep.members for name in each.metrics))
    drawn = folder / "sweep.png"
    page = filled(
        TEMPLATES / "sweep.html",
        title=f"ebm {sweep.verb} -m: {folder.name}",
        folder=str(folder),
        picture=base64.b64encode(drawn.read_bytes()).decode() if drawn.exists() else "",
        caption=caption,
        keys=heads_of(columns_of(sweep)),
        names=names,
        ranked=bool(sweep.by),
        by="" if sweep.by in names else sweep.by,
        note=ranking_note(sweep),
        members=[shown(each, sweep, names) for each in sweep.members],
    )
    write_text(folder / "report.html", page)
    return folder / "report.html"


def shown(member: Member, sweep: Sweep, names: list[str]) -> dict[str, Any]:
    """What the page shows of one job; reasons that several of its numbers share are said once."""
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
