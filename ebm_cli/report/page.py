"""report.html: one self-contained page a run, verdicts first, then figures, each with its number.

A page shows its own run and, above and below it, the runs that it came from and that came from it: the page of
a training run grows with every `ebm sample`, `evaluate` and `diagnose` of it.
"""

import base64
import json
from pathlib import Path
from typing import Any

import jinja2
import yaml

from ebm_cli.check import InputError
from ebm_cli.estimate import show
from ebm_cli.report.judgment import judgment, news
from ebm_cli.run.folder import Run, read_json
from ebm_cli.run.writing import write_text

TEMPLATES = Path(__file__).with_name("templates")
ORDER = ("train", "sample", "evaluate", "diagnose")


def write_report(run: Run) -> Path:
    """Write report.html of `run`, and again those of the runs that it came from, which now have one more section."""
    for other in [*reversed(ancestors(run)), run]:
        if other is not run:
            note_descendant(other, run)
        try:
            write_text(other.folder / "report.html", page(other))
        except OSError:
            continue
    return run.folder / "report.html"


def page(run: Run) -> str:
    """The page of one run and its relatives, as HTML."""
    relatives = [*ancestors(run), run, *descendants(run)]
    sections = [section(each, run) for each in relatives]
    made = {"verb": "train"} | run.config()["made"]
    summary = f"{run.folder} · ebm {made.get('ebm')} · torch {made.get('torch')} · {made.get('created')}"
    return filled(
        TEMPLATES / "run.html",
        title=f"ebm {made['verb']}: {run.folder.name}",
        summary=summary,
        sections=numbered(sections),
        judgment=judgment(
            (each["verb"], each["metrics"])
            for each in sorted(sections, key=lambda each: each["created"])
            if not each["elsewhere"]
        ),
    )


def filled(template: Path, **values: Any) -> str:
    """Return a page of this project's look from a template that extends base.html, with every value escaped."""
    loader = jinja2.FileSystemLoader([template.parent, TEMPLATES])
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(template.name).render(**values)


def numbered(sections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The sections, each with what its rows are marked with: its verb, numbered if there are others of that verb."""
    verbs = [each["verb"] for each in sections]
    for i, each in enumerate(sections):
        number = f" {verbs[: i + 1].count(each['verb'])}" if verbs.count(each["verb"]) > 1 else ""
        each["heading"] = f"{each['verb']}{number} {each['name']}"
        each["source"] = f"{each['verb']}{number}" + (f", {each['elsewhere']}" if each["elsewhere"] else "")
    return sections


def section(run: Run, page_of: Run) -> dict[str, Any]:
    """What the page of one run shows of another; elsewhere: on which other data it was measured, empty for the same."""
    config = run.config()
    verb = config["made"].get("verb", "train")
    metrics = metrics_of(run)
    elsewhere = other_data(config, page_of.config())
    rows = [
        {
            "name": name,
            "value": show(row.get("value"), row.get("se")) + (f" {row['unit']}" if row.get("unit") else ""),
            "verdict": row["verdict"],
            "reason": news(name, metrics),
            "meaning": row.get("meaning", ""),
        }
        for name, row in metrics.items()
    ]
    figures = [
        {"name": name, "caption": caption, "data": base64.b64encode(path.read_bytes()).decode()}
        for name, caption in run.captions().items()
        if (path := run.figures / f"{name}.png").exists()
    ]
    shown = {key: value for key, value in config.items() if key != "made"}
    return {
        "verb": verb,
        "name": run.folder.name,
        "metrics": metrics,
        "created": str(config["made"].get("created", "")),
        "elsewhere": elsewhere,
        "about": " · ".join(filter(None, (data_of(config), str(config["made"].get("created", ""))))),
        "measured": measured(config, elsewhere),
        "folder": str(run.folder),
        "command": config["made"].get("command", ""),
        "rows": rows,
        "figures": figures,
        "config": yaml.safe_dump(shown, sort_keys=False, allow_unicode=True),
    }


def metrics_of(run: Run) -> dict[str, dict[str, Any]]:
    """The run's numbers; a row that says so where metrics.json is damaged."""
    try:
        return run.whole_metrics()
    except InputError as error:
        return {"metrics.json": {"value": None, "verdict": "refused", "reason": error.messages[0]}}


def ancestors(run: Run) -> list[Run]:
    """The runs that `run` came from, oldest first, as far as they are still there."""
    found: list[Run] = []
    config = run.config()
    while (source := config.get("run") or config.get("init")) and Path(source).is_dir():
        parent = Run(Path(source))
        # A run that names itself, or one that came from it.
        if any(parent.folder.samefile(known.folder) for known in (run, *found)):
            break
        try:
            config = parent.config()
        except InputError:
            break
        found.insert(0, parent)
    return found


def measured(config: dict[str, Any], elsewhere: str) -> str:
    """When a run was made, from which checkpoint, and on what data."""
    made = config["made"]
    parts = [str(made["created"])] if made.get("created") else []
    if config.get("run"):
        if config.get("checkpoint") is not None:
            parts.append(f"checkpoint={config['checkpoint']}")
        parts.append(f"of {config['run']}")
    if on := data_of(config):
        parts.append(f"measured on {on}" + (", which is not what this page's run has" if elsewhere else ""))
    return " · ".join(parts)


def data_of(config: dict[str, Any]) -> str:
    """The data that a run was measured on, in words: its set, its file, the file that it scored; empty for none."""
    node = config.get("data")
    if config.get("score") is not None:
        return f"score={config['score']}"
    if not isinstance(node, dict):
        return ""
    module = str(node.get("_target_") or "").rpartition(".")[0].rpartition(".")[2]
    return f"data={module or 'none'}" + (f", data.path={node['path']}" if node.get("path") else "")


def other_data(config: dict[str, Any], own: dict[str, Any]) -> str:
    """The data of a run if they are not those of `own`, in words; empty if they are, or if one of the two has none."""
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


def descendants(run: Run) -> list[Run]:
    """Every run that came from `run` and is still there: by verb, the oldest first."""
    found: list[tuple[int, Run]] = []
    for folder in children(run):
        child = Run(Path(folder))
        try:
            verb = child.config()["made"].get("verb", "train")
        except InputError:
            continue
        found.append((ORDER.index(verb) if verb in ORDER else len(ORDER), child))
    return [child for _, child in sorted(found, key=lambda each: each[0])]


def children(run: Run) -> list[str]:
    """The folders in descendants.json; none where it is damaged."""
    known = read_json(run.folder / "descendants.json")
    return [folder for folder in known if isinstance(folder, str)] if isinstance(known, list) else []


def note_descendant(run: Run, child: Run) -> None:
    """Remember in `run`'s folder that `child` came from it; a folder that cannot be written stays as it is."""
    path = run.folder / "descendants.json"
    known = children(run)
    if str(child.folder) not in known:
        try:
            write_text(path, json.dumps([*known, str(child.folder)], indent=1))
        except OSError:
            return
