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
from markupsafe import Markup

from ebm_cli.check import InputError
from ebm_cli.estimate import show
from ebm_cli.report.judgment import judgment, news
from ebm_cli.run.folder import Run, read_json
from ebm_cli.run.writing import write_text

STYLE = """:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #ccc; }
.path { color: #555; font-size: .85rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #e4e4e4; vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.ok { color: #00603f; } .caution { color: #8a5a00; } .refused { color: #a33c00; }
.verdict { font-weight: 600; }
figure { margin: 1.2rem 0; } figure img { max-width: 100%; height: auto; } figcaption { color: #333; font-size: .92rem; }
.cards td.number { white-space: normal; min-width: 9rem; } .cards td:last-child { min-width: 16rem; }
h1, h2, td:last-child { overflow-wrap: anywhere; }
.whose th { background: #f3f3f3; } .whose .path { font-weight: 400; }
@media (max-width: 40rem) {
  .cards thead { display: none; }
  .cards tr { display: grid; grid-template-columns: 1fr auto auto; border-bottom: 1px solid #ccc; padding: .3rem 0; }
  .cards td { border: 0; padding: .1rem .4rem .1rem 0; }
  .cards tr.whose { display: block; } .cards .whose th { display: block; border: 0; overflow-wrap: anywhere; }
  .cards td:first-child { display: none; } .cards td:last-child { grid-column: 1 / -1; }
  .cards td.number, .cards td:last-child { min-width: 0; }
}
tr.best td { background: #eef6f1; font-weight: 600; }
details { margin: 1rem 0; } pre { overflow-x: auto; background: #f6f6f6; padding: .6rem; font-size: .8rem; }
"""

HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{ title }}</title><link rel="icon" href="data:,">
<style>
{{ style }}</style></head><body>
"""

PAGE = """<h1>{{ title }}</h1>
<p class="path">{{ summary }}</p>
{% if judgment %}<p><strong>{{ judgment }}</strong></p>{% endif %}
<h2>Verdicts</h2>
<div class="scroll"><table class="cards"><thead><tr><th>from</th><th>quantity</th><th>value</th><th>verdict</th><th>meaning, and reason for doubt</th></tr></thead><tbody>
{% for section in sections %}
<tr class="whose"><th colspan="5">{{ section.heading }}<br><span class="path">{{ section.about }}</span></th></tr>
{% for row in section.rows %}
<tr><td>{{ section.source }}</td><td>{{ row.name }}</td><td class="number">{{ row.value }}</td>
<td class="verdict {{ row.verdict }}">{{ row.verdict }}</td><td>{% if row.meaning %}{{ row.meaning }}{% if row.reason %}<br>{% endif %}{% endif %}{{ row.reason }}</td></tr>
{% endfor %}{% endfor %}
</tbody></table></div>
<p class="path">ok: trust the value within its error. caution: the value stands, the reason says what to doubt.
refused: no value, the reason says why and what would mend it. ± is one standard error. A verdict is about trust; what a
value means is said beside it.</p>
{% for section in sections %}
<h2>{{ section.heading }}</h2><p class="path">{{ section.folder }}<br>{{ section.command }}</p>
{% if section.measured %}<p class="path">{{ section.measured }}</p>{% endif %}
{% for figure in section.figures %}
<figure><img alt="{{ figure.name }}" src="data:image/png;base64,{{ figure.data }}"><figcaption>{{ figure.caption }}</figcaption></figure>
{% endfor %}
<details><summary>configuration</summary><pre>{{ section.config }}</pre></details>
{% endfor %}
</body></html>
"""

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
        PAGE,
        title=f"ebm {made['verb']}: {run.folder.name}",
        summary=summary,
        sections=numbered(sections),
        judgment=judgment(
            (each["verb"], each["metrics"])
            for each in sorted(sections, key=lambda each: each["created"])
            if not each["elsewhere"]
        ),
    )


def filled(template: str, **values: Any) -> str:
    """A page of this project's look whose body is `template`, every value escaped."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(HEAD + template).render(style=Markup(STYLE), **values)


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
