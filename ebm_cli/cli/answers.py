"""What is answered at once, without Hydra or torch: help, version, completion, a misspelt verb."""

import difflib
import re
import sys
from pathlib import Path

from ebm_cli import __version__
from ebm_cli.shipped import conf_folder

COMPLETE = "_complete"
LIST_GROUPS = ("regularizer", "metric", "diagnostic")
VERB_LINES = {
    "train": "fit an energy to data",
    "sample": "run chains of a trained run, or of an energy that needs no training",
    "evaluate": "compare a model with data, or with the truth",
    "diagnose": "judge the health of chains",
}
EXAMPLES = {
    "": [
        ("ebm train", "train the digits recipe, in minutes on a laptop's CPU"),
        (
            "ebm sample -m run=latest sampler.temperature=0.5,1,2",
            "sample it at three temperatures; ends in a table",
        ),
        ("ebm sample energy=double_well sampler=mala", "chains of an energy that needs no training"),
    ],
    "train": [
        ("ebm train experiment=gaussians_8", "a recipe that is known to work"),
        ("ebm train resume=latest trainer.steps=4000", "go on in place, on the same bits, to step 4000"),
        ("ebm train init=latest optimizer.lr=1e-4", "a new run from that run's weights"),
    ],
    "sample": [
        ("ebm sample run=latest steps=2000", "chains from noise of the newest trained run"),
        (
            "ebm sample -m run=latest sampler.temperature=0.5,1,2",
            "a sweep over temperatures, ending in a table",
        ),
        ("ebm sample energy=quadratic 'event=[2]' sampler=sghmc", "an energy that needs no training"),
    ],
    "evaluate": [
        ("ebm evaluate run=latest", "every metric that applies, on fresh chains"),
        ("ebm evaluate run=latest 'metric=[frechet]' steps=10000", "one metric, after long chains"),
        ("ebm evaluate run=latest 'metric=[nll]'", "held-out log-likelihood, bracketed, beside other densities'"),
        ("ebm evaluate energy=double_well 'metric=[log_z]' temperature=2", "without a run: the partition function"),
    ],
    "diagnose": [
        ("ebm diagnose run=latest", "every diagnostic, on the newest sample run"),
        ("ebm diagnose run=chains.npy", "anyone's chains: an array (chain, draw, *event)"),
        ("ebm diagnose run=latest/sample 'diagnostic=[ess,r_hat]'", "two diagnostics alone"),
    ],
}


def conf_folders() -> list[Path]:
    """Where groups are looked up: ours (beside the package in a wheel, above it in a checkout), then ./conf."""
    ours = conf_folder()
    own = Path.cwd() / "conf"
    return [ours, own] if own.is_dir() and own.resolve() != ours else [ours]


def groups() -> dict[str, dict[str, Path]]:
    """Every group with its options, in alphabetical order; ours win over a user's of the same name."""
    found: dict[str, dict[str, Path]] = {}
    for folder in conf_folders():
        for path in sorted(folder.glob("*/*.yaml")):
            found.setdefault(path.parent.name, {}).setdefault(path.stem, path)
    return dict(sorted(found.items()))


def verb_groups(verb: str) -> list[str]:
    """The groups in a verb's defaults list, in its order."""
    return re.findall(r"^  - (\w+):", (conf_folders()[0] / f"{verb}.yaml").read_text(), flags=re.MULTILINE)


def about(path: Path) -> str:
    """The first comment of a YAML file that is not a package line."""
    for line in path.read_text().splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line[2:]
    return ""


def answer(arguments: list[str], verbs: tuple[str, ...]) -> int | None:
    """Answer what needs no heavy import; None when a verb has to run."""
    first = arguments[0] if arguments else "--help"
    if first in ("--help", "-h", "help"):
        if len(arguments) > 1 and first == "help":
            # `ebm help VERB …` is `ebm VERB … --help`.
            return answer([*arguments[1:], "--help"], verbs)
        print(general_help())  # noqa: T201
        return 0
    if first == "--version":
        print(f"ebm {__version__}")  # noqa: T201
        return 0
    if first in ("completion", COMPLETE):
        from ebm_cli.cli.completion import completion

        return completion(first, arguments[1:], verbs)
    if first not in verbs:
        close = difflib.get_close_matches(first, verbs, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        sys.stderr.write(f"error: {first!r} is none of {', '.join(verbs)}{hint}\n")
        return 2
    if any(argument in ("--help", "-h") for argument in arguments[1:]):
        print(verb_help(first, arguments[1:]))  # noqa: T201
        return 0
    return None


def chosen_options(words: list[str], verb: str) -> dict[str, list[str]]:
    """The options that a line chooses, by group, as far as both exist: GROUP=NAME or 'GROUP=[NAME,NAME]'."""
    known = groups()
    found: dict[str, list[str]] = {}
    for word in words:
        group, mark, value = word.partition("=")
        names = [name.strip(" '\"") for name in value.strip("[]").split(",")]
        if mark and group in verb_groups(verb):
            found[group] = [name for name in names if name in known.get(group, {})]
    return {group: names for group, names in found.items() if names}


def general_help() -> str:
    """`ebm --help`."""
    lines = ["ebm: energy-based models from YAML to verdict", "", "usage: ebm VERB [-m] [KEY=VALUE …]", ""]
    lines += [f"  {verb:<9} {line}" for verb, line in VERB_LINES.items()]
    lines += ["", "groups (choose one with GROUP=NAME, several of a list with 'GROUP=[NAME,NAME]'):", ""]
    for group, options in groups().items():
        named = ", ".join(name for name in options if name != "custom")
        lines.append(f"  {group:<11} {named or 'custom'}")
    lines += [
        "",
        "every group also takes a class of your own: GROUP=custom GROUP._target_=module.Class",
        "",
        "examples:",
        "",
    ]
    lines += example_lines("")
    lines += ["", "ebm VERB --help shows all keys · ebm completion bash|zsh|fish · ebm --version"]
    return "\n".join(lines)


def verb_help(verb: str, words: list[str] | None = None) -> str:
    """`ebm VERB --help`: keys of chosen options, examples, groups with a line an option, keys with their meaning."""
    chosen = chosen_options(words or [], verb)
    lines = [f"ebm {verb}: {VERB_LINES[verb]}", ""]
    for group, names in chosen.items():
        for name in names:
            lines += [f"keys of {group}={name}, with their defaults:", *option_lines(group, name), ""]
    lines += ["examples:", "", *example_lines(verb), ""]
    if verb == "train":
        lines += [
            "resume=RUN goes on in place (with trainer.steps, trainer.checkpoint_every, trainer.log_every, device,"
        ]
        lines += [
            "threads alone); init=RUN starts a new run from RUN's weights. RUN is a folder, or latest.",
            "",
        ]
    known = groups()
    for group in verb_groups(verb):
        listed = " (a list)" if group in LIST_GROUPS else ""
        lines.append(f"{group}{listed}:")
        lines += [f"  {name:<26} {about(path)}" for name, path in known.get(group, {}).items()]
        lines.append("")
    lines += ["keys, with their defaults:", *key_lines(verb), ""]
    if not chosen:
        group, name = ("diagnostic", "autocorrelation") if verb == "diagnose" else ("sampler", "sghmc")
        lines += [f"an option's own keys, as ebm {verb} {group}={name} --help shows them:", *option_lines(group, name)]
    lines += [
        "",
        "-m sweeps over comma-separated values: ebm sample -m run=latest sampler.temperature=0.5,1,2",
    ]
    return "\n".join(lines)


def option_lines(group: str, name: str) -> list[str]:
    """The keys of an option as they are typed, with their defaults and meanings, or what a recipe sets."""
    text = groups()[group][name].read_text()
    if group == "experiment":
        return [f"  {line}" for line in text.splitlines() if line.strip()]
    prefix = f"{group}.{name}" if group in LIST_GROUPS else group
    return [f"  {prefix}.{line}" for line in text.splitlines() if re.match(r"[a-z]\w*:", line)]


def example_lines(verb: str) -> list[str]:
    return [line for command, meaning in EXAMPLES[verb] for line in (f"  {command}", f"      {meaning}")]


def key_lines(verb: str) -> list[str]:
    """The verb's own keys as they stand in its YAML, after the defaults list."""
    text = (conf_folders()[0] / f"{verb}.yaml").read_text().split("\n\n", 1)[1]
    return [f"  {line}" for line in text.splitlines() if line.strip()]
