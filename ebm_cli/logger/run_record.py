"""Record of any run in every place: hyperparameters, numbers and their verdicts, figures, and judgment."""

from typing import Any

import yaml

from ebm_cli.estimate import show
from ebm_cli.logger import Logger, open_places
from ebm_cli.report.judgment import judgment
from ebm_cli.run.folder import Run
from ebm_cli.run.nested import value_at
from ebm_cli.run.shipped import option_name

Value = float | str | bool

VERDICTS = {"refused": 0.0, "caution": 1.0, "ok": 2.0}
# TensorBoard's HParams tab shows the first five scalars by name. The digit places this scalar after four of training.
VERDICT_TAG = "2_verdict/worst"
VERDICT_DESCRIPTION = "The worst verdict among the run's numbers: 2 ok, 1 caution, 0 refused."
# Groups whose option is a hyperparameter, and keys that are hyperparameters even if they were not typed.
GROUPS = ("energy", "data", "sampler", "start", "objective", "path")
COMPARED_KEYS = (
    "sampler.temperature",
    "sampler.step_size",
    "optimizer.lr",
    "trainer.steps",
    "trainer.batch_size",
    "steps",
    "chains",
    "seed",
)
# Keys that do not change the result of a run.
UNCOMPARED_KEYS = ("run", "init", "out", "name", "device", "threads", "trust", "resume", "experiment", "figures")
MAX_LIST_LENGTH = 4


def open_record(events: Logger, run: Run) -> None:
    """Write hyperparameters, command and configuration of a run before its work."""
    config = run.config()
    made = config["made"]
    # TensorBoard shows only the start of a trial's name.
    *above, name = run.folder.absolute().parts[-3:]
    trial = f"{name} in {'/'.join(above)} ({made.get('verb', 'train')})"
    events.hparams(hyperparameters(config), trial)
    events.text("command", f"`{made.get('command', '')}`\n\n{run.folder}", 0)
    text = yaml.safe_dump({key: value for key, value in config.items() if key != "made"}, sort_keys=False)
    # TensorBoard sorts texts by name. This name puts the longest text last.
    events.text("whole configuration", as_code_block(text), 0)


def close_record(run: Run) -> None:
    """Write the numbers, figures and judgment of a run. The record of a training run is open already."""
    verb = run.config()["made"].get("verb", "train")
    metrics = run.metrics()
    step = int(metrics["steps"]["value"]) if verb == "train" and "steps" in metrics else 0
    with open_places(run.folder) as events:
        if verb != "train":
            open_record(events, run)
            for name, row in metrics.items():
                for tag, value in named_scalars(f"{verb}/{name}", row["value"]).items():
                    events.scalar(tag, value, step, describe_row(row))
        if metrics:
            worst = min(VERDICTS[row["verdict"]] for row in metrics.values())
            events.scalar(VERDICT_TAG, worst, step, VERDICT_DESCRIPTION)
            events.text("numbers", markdown_table(metrics), step)
        if sentence := judgment([(verb, metrics)]):
            events.text("judgment", sentence, step)
        for name, caption in run.captions().items():
            if (path := run.figures / f"{name}.png").exists():
                events.picture(f"figures/{name}", path.read_bytes(), step, caption)
        events.mark_finished()


def hyperparameters(config: dict[str, Any]) -> dict[str, Value]:
    """Return the hyperparameters of a run: its chosen groups, the usual values, and all typed values."""
    found: dict[str, Value] = {}
    for group in GROUPS:
        node = config.get(group)
        if isinstance(node, dict) and isinstance(node.get("_target_"), str):
            found[group] = option_name(node["_target_"]) or node["_target_"]
    for key in (*COMPARED_KEYS, *config["made"].get("chosen", [])):
        value = value_at(config, key)
        if key not in UNCOMPARED_KEYS and key not in found and isinstance(value, bool | int | float | str):
            found[key] = value
    return found


def named_scalars(tag: str, value: Any) -> dict[str, float]:
    """Return a number by its tag, or the numbers of a short list by tag and position; {} for any other value."""
    if isinstance(value, int | float):
        return {tag: float(value)}
    if isinstance(value, list) and len(value) <= MAX_LIST_LENGTH and all(isinstance(v, int | float) for v in value):
        return {f"{tag}[{i}]": float(v) for i, v in enumerate(value)}
    return {}


def describe_row(row: dict[str, Any]) -> str:
    """Return unit, meaning, verdict and reason of a number."""
    parts = (row.get("unit"), row.get("meaning"), row["verdict"], row.get("reason"))
    return " · ".join(str(part) for part in parts if part)


def markdown_table(metrics: dict[str, dict[str, Any]]) -> str:
    """Return the numbers as a Markdown table."""

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
    head = "| quantity | value | verdict | meaning, and reason of the verdict |\n|---|---|---|---|\n"
    return head + "\n".join(f"| {' | '.join(map(cell, row))} |" for row in rows)


def as_code_block(text: str) -> str:
    """Return text as a code block in Markdown."""
    return "\n".join(f"    {line}" for line in text.splitlines())
