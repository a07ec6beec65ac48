"""What TensorBoard shows of any run: hyperparameters, numbers and their verdict, figures, and judgment."""

from typing import Any

import yaml

from ebm_cli.estimate import show
from ebm_cli.logger.tensorboard import Events
from ebm_cli.report.judgment import judgment
from ebm_cli.run.folder import Run

Value = float | str | bool

VERDICTS = {"refused": 0.0, "caution": 1.0, "ok": 2.0}
# HParams shows the first five scalars by name; the digit puts this one behind the four of training.
VERDICT = "2_verdict/worst"
ABOUT_VERDICT = "The worst verdict among the run's numbers: 2 ok, 1 caution, 0 refused."
# Groups that are compared by what they chose, and values by which runs are compared whether typed or not.
CHOICES = ("energy", "data", "sampler", "start", "objective", "path")
ALWAYS = (
    "sampler.temperature",
    "sampler.step_size",
    "optimizer.lr",
    "trainer.steps",
    "trainer.batch_size",
    "steps",
    "chains",
    "seed",
)
# Keys that say where and how a run is made, not what it is.
NEVER = ("run", "init", "out", "name", "device", "threads", "trust", "resume", "experiment", "figures")
MOST_PARTS = 4


def open_record(events: Events, run: Run) -> None:
    """Write what is known of a run before its work: hyperparameters, command and configuration."""
    config = run.config()
    made = config["made"]
    # Its begin alone is shown.
    *above, name = run.folder.absolute().parts[-3:]
    trial = f"{name} in {'/'.join(above)} ({made.get('verb', 'train')})"
    events.hparams(hyperparameters(config), trial)
    events.text("command", f"`{made.get('command', '')}`\n\n{run.folder}", 0)
    shown = yaml.safe_dump({key: value for key, value in config.items() if key != "made"}, sort_keys=False)
    # TensorBoard sorts texts by name: the longest comes last.
    events.text("whole configuration", code(shown), 0)


def close_record(run: Run) -> None:
    """Write the numbers, figures and judgment that a verb left in the run's folder, and what it was."""
    verb = run.config()["made"].get("verb", "train")
    metrics = run.metrics()
    step = int(metrics["steps"]["value"]) if verb == "train" and "steps" in metrics else 0
    with Events(run.folder) as events:
        if verb != "train":
            open_record(events, run)
            for name, row in metrics.items():
                for tag, value in scalars(f"{verb}/{name}", row["value"]).items():
                    events.scalar(tag, value, step, about(row))
        if metrics:
            worst = min(VERDICTS[row["verdict"]] for row in metrics.values())
            events.scalar(VERDICT, worst, step, ABOUT_VERDICT)
            events.text("numbers", table(metrics), step)
        if sentence := judgment([(verb, metrics)]):
            events.text("judgment", sentence, step)
        for name, caption in run.captions().items():
            if (path := run.figures / f"{name}.png").exists():
                events.picture(f"figures/{name}", path.read_bytes(), step, caption)
        events.ended()


def hyperparameters(config: dict[str, Any]) -> dict[str, Value]:
    """The values that a run is compared by: its choices, the usual ones, and all that was typed."""
    found: dict[str, Value] = {}
    for group in CHOICES:
        node = config.get(group)
        if isinstance(node, dict) and isinstance(node.get("_target_"), str):
            found[group] = str(node["_target_"]).rpartition(".")[0].rpartition(".")[2] or str(node["_target_"])
    for key in (*ALWAYS, *config["made"].get("chosen", [])):
        value = at(config, key)
        if key not in NEVER and key not in found and isinstance(value, bool | int | float | str):
            found[key] = value
    return found


def at(config: dict[str, Any], key: str) -> Any:
    """The value of a dotted key, None for none."""
    node: Any = config
    for name in key.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node


def scalars(tag: str, value: Any) -> dict[str, float]:
    """A number under its tag; of a short list each, by position; nothing of what is refused or no number."""
    if isinstance(value, int | float):
        return {tag: float(value)}
    if isinstance(value, list) and len(value) <= MOST_PARTS and all(isinstance(v, int | float) for v in value):
        return {f"{tag}[{i}]": float(v) for i, v in enumerate(value)}
    return {}


def about(row: dict[str, Any]) -> str:
    """What a number means, and its verdict with the reason."""
    parts = (row.get("unit"), row.get("meaning"), row["verdict"], row.get("reason"))
    return " · ".join(str(part) for part in parts if part)


def table(metrics: dict[str, dict[str, Any]]) -> str:
    """The numbers as a Markdown table."""

    def cell(text: str) -> str:
        return " ".join(text.split()).replace("|", "\\|")

    rows = [
        (
            name,
            " ".join(filter(None, (show(row["value"], row.get("se")), row.get("unit")))),
            row["verdict"],
            "; ".join(filter(None, (row.get("meaning"), row.get("reason")))),
        )
        for name, row in metrics.items()
    ]
    head = "| quantity | value | verdict | meaning, and reason for doubt |\n|---|---|---|---|\n"
    return head + "\n".join(f"| {' | '.join(map(cell, row))} |" for row in rows)


def code(text: str) -> str:
    """Text as a block of code in Markdown."""
    return "\n".join(f"    {line}" for line in text.splitlines())
