"""report.html: one self-contained page per run, verdicts first, then figures, each with its number.

A page also shows the ancestors and descendants of its run. The page of a training run grows with every `ebm sample`,
`evaluate` and `diagnose` of it.
"""

import base64
from contextlib import suppress
from pathlib import Path
from typing import Any

import jinja2
import yaml

from ebm_cli.check import InputError
from ebm_cli.estimate import show
from ebm_cli.report.judgment import judgment, own_reasons
from ebm_cli.report.relatives import ancestors, descendants, record_descendant
from ebm_cli.run.folder import Run
from ebm_cli.run.shipped import option_name
from ebm_cli.run.writing import write_text

TEMPLATES = Path(__file__).with_name("templates")


def write_report(run: Run) -> Path:
    """Write report.html of `run`, and rewrite the pages of its ancestors with the new section."""
    for other in [*reversed(ancestors(run)), run]:
        if other is not run:
            record_descendant(other, run)
        with suppress(OSError):
            write_text(other.folder / "report.html", page(other))
    return run.folder / "report.html"


def page(run: Run) -> str:
    """Return the page of one run and its relatives as HTML."""
    relatives = [*ancestors(run), run, *descendants(run)]
    sections = [section(each, run) for each in relatives]
    made = {"verb": "train"} | run.config()["made"]
    summary = f"{run.folder} · ebm {made.get('ebm')} · torch {made.get('torch')} · {made.get('created')}"
    return render_template(
        TEMPLATES / "run.html",
        title=f"ebm {made['verb']}: {run.folder.name}",
        summary=summary,
        sections=number_sections(sections),
        judgment=judgment(
            (each["verb"], each["metrics"])
            for each in sorted(sections, key=lambda each: each["created"])
            if not each["elsewhere"]
        ),
    )


def render_template(template: Path, **values: Any) -> str:
    """Return the page of a template that extends base.html, with all values escaped."""
    loader = jinja2.FileSystemLoader([template.parent, TEMPLATES])
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(template.name).render(**values)


def number_sections(sections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to each section its heading and the source of its rows: the verb, numbered if several have that verb."""
    verbs = [each["verb"] for each in sections]
    for i, each in enumerate(sections):
        number = f" {verbs[: i + 1].count(each['verb'])}" if verbs.count(each["verb"]) > 1 else ""
        each["heading"] = f"{each['verb']}{number} {each['name']}"
        each["source"] = f"{each['verb']}{number}" + (f", {each['elsewhere']}" if each["elsewhere"] else "")
    return sections


def section(run: Run, page_of: Run) -> dict[str, Any]:
    """Return the values of one run that the page of another run shows.

    elsewhere: describes the data on which the run was measured; empty if the page's run has the same data.
    """
    config = run.config()
    verb = config["made"].get("verb", "train")
    metrics = metrics_of(run)
    elsewhere = other_data(config, page_of.config())
    rows = [
        {
            "name": name,
            "value": show(row.get("value"), row.get("se")) + (f" {row['unit']}" if row.get("unit") else ""),
            "verdict": row["verdict"],
            "reason": own_reasons(name, metrics),
            "meaning": row.get("meaning", ""),
        }
        for name, row in metrics.items()
    ]
    figures = [
        {"name": name, "caption": caption, "data": base64.b64encode(path.read_bytes()).decode()}
        for name, caption in run.captions().items()
        if (path := run.figures / f"{name}.png").exists()
    ]
    settings = {key: value for key, value in config.items() if key != "made"}
    return {
        "verb": verb,
        "name": run.folder.name,
        "metrics": metrics,
        "created": str(config["made"].get("created", "")),
        "elsewhere": elsewhere,
        "about": " · ".join(filter(None, (data_of(config), str(config["made"].get("created", ""))))),
        "measured": provenance(config, elsewhere),
        "folder": str(run.folder),
        "command": config["made"].get("command", ""),
        "rows": rows,
        "figures": figures,
        "config": yaml.safe_dump(settings, sort_keys=False, allow_unicode=True),
    }


def metrics_of(run: Run) -> dict[str, dict[str, Any]]:
    """Return the numbers of a run; one refused row if metrics.json is damaged."""
    try:
        return run.whole_metrics()
    except InputError as error:
        return {"metrics.json": {"value": None, "verdict": "refused", "reason": error.messages[0]}}


def provenance(config: dict[str, Any], elsewhere: str) -> str:
    """Describe when a run was made, from which checkpoint, and on which data."""
    made = config["made"]
    parts = [str(made["created"])] if made.get("created") else []
    if config.get("run"):
        if config.get("checkpoint") is not None:
            parts.append(f"checkpoint={config['checkpoint']}")
        parts.append(f"of {config['run']}")
    if on := data_of(config):
        parts.append(f"measured on {on}" + (", other data than those of this page's run" if elsewhere else ""))
    return " · ".join(parts)


def data_of(config: dict[str, Any]) -> str:
    """Describe the data that a run was measured on: its set, its file, or the file that it scored; empty for none."""
    node = config.get("data")
    if config.get("score") is not None:
        return f"score={config['score']}"
    if not isinstance(node, dict):
        return ""
    name = option_name(node.get("_target_")) or "none"
    return f"data={name}" + (f", data.path={node['path']}" if node.get("path") else "")


def other_data(config: dict[str, Any], own: dict[str, Any]) -> str:
    """Describe the data of a run if they differ from the data of `own`; empty if they are equal or unknown."""
    if config.get("score") is not None and config.get("score") != own.get("score"):
        return data_of(config)
    theirs, ours = config.get("data"), own.get("data")
    if not isinstance(theirs, dict) or not isinstance(ours, dict):
        return ""
    keys = [key for key in {**ours, **theirs} if theirs.get(key) != ours.get(key)]
    if not keys:
        return ""
    if "_target_" in keys or "path" in keys:
        return data_of(config)
    return ", ".join(f"data.{key}={theirs.get(key)}" for key in keys)
