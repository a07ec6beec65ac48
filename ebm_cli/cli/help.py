"""What is answered at once, without Hydra or torch: help, version, completion, a misspelt verb."""

import difflib
import sys
from collections.abc import Iterable

from ebm_cli import __version__
from ebm_cli.check import InputError
from ebm_cli.cli.keys import ASKED, COMPLETE, LIST_GROUPS, about, about_group, groups, keys_of, verb_file, verb_groups

HELP = ("--help", "-h")
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


def answer(arguments: list[str], verbs: tuple[str, ...]) -> int | None:
    """Answer what needs no heavy import; None when a verb has to run."""
    first, *rest = arguments or ["--help"]
    if first in ("completion", COMPLETE):
        from ebm_cli.cli.completion import completion

        return completion(first, rest, verbs)
    try:
        text = answered(first, rest, verbs)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if text is not None:
        print(text)  # noqa: T201
        return 0
    return None


def answered(first: str, rest: list[str], verbs: tuple[str, ...]) -> str | None:
    """The text that answers a line; None for a verb that has to run, InputError for a word that is none."""
    asks = any(word in HELP for word in rest)
    if first in HELP or first == "help" or (first == "choices" and asks):
        words = [word for word in rest if word not in HELP]
        if not words or first == "choices":
            return general_help()
        return verb_help(words[0], words[1:]) if words[0] in verbs else "\n\n".join(map(help_on, words))
    if first == "--version":
        return f"ebm {__version__}"
    if first == "choices":
        return choices(*rest)
    if first not in verbs:
        raise InputError(f"{first!r} is none of {', '.join([*verbs, *ASKED])}{near(first, [*verbs, *ASKED])}")
    return verb_help(first, [word for word in rest if word not in HELP]) if asks else None


def help_on(word: str) -> str:
    """`ebm help GROUP`, `ebm help GROUP=NAME`, `ebm help 'GROUP=[NAME,NAME]'`."""
    group, mark, value = word.partition("=")
    if group not in groups():
        asked = [*VERB_LINES, *groups()]
        raise InputError(f"{group!r} is neither a verb nor a group: {', '.join(asked)}{near(group, asked)}")
    return "\n\n".join(choices(group, name) for name in listed(value)) if mark else choices(group)


def choices(group: str = "", name: str = "", *more: str) -> str:
    """`ebm choices [GROUP] [NAME]`: the groups, the options of one, or the keys of an option, a line each."""
    known = groups()
    if more:
        raise InputError(f"ebm choices takes a group and a name, got {more[0]!r} as well")
    if "=" in group:
        return help_on(group)
    if not group:
        return "\n".join(f"{each:<11} {about_group(each)}" for each in known)
    if group not in known:
        raise InputError(f"{group!r} is no group: {', '.join(known)}{near(group, known)}")
    options = known[group]
    if not name:
        return "\n".join(f"{each:<26} {about(path)}" for each, path in options.items())
    if name not in options:
        raise InputError(f"{group} has no option {name!r}{near(name, options)} (options: {', '.join(options)})")
    return "\n".join([f"{group}={name}: {about(options[name])}", *option_lines(group, name)])


def near(word: str, known: Iterable[str]) -> str:
    """A hint at the nearest known word."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def listed(value: str) -> list[str]:
    """The names in NAME or [NAME,NAME]."""
    return [name.strip(" '\"") for name in value.strip("[]'\"").split(",")]


def chosen_options(words: list[str], verb: str) -> dict[str, list[str]]:
    """The options that a line chooses, by group, as far as both exist: GROUP=NAME or 'GROUP=[NAME,NAME]'."""
    known = groups()
    found: dict[str, list[str]] = {}
    for word in words:
        group, mark, value = word.partition("=")
        names = listed(value)
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
    lines += [
        "",
        "ebm VERB --help shows a verb's keys, ebm choices GROUP NAME those of an option",
        "ebm completion bash|zsh|fish · ebm --version",
    ]
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
    path = groups()[group][name]
    if group == "experiment":
        return [f"  {line}" for line in path.read_text().splitlines() if line.strip()]
    prefix = f"{group}.{name}" if group in LIST_GROUPS else group
    shown = [key for key in keys_of(path) if key.name != "_target_" or key.default == "???"]
    return [f"  {prefix}.{key.name}: {key.default}  # {key.comment}" for key in shown]


def example_lines(verb: str) -> list[str]:
    return [line for command, meaning in EXAMPLES[verb] for line in (f"  {command}", f"      {meaning}")]


def key_lines(verb: str) -> list[str]:
    """The verb's own keys as they stand in its YAML, after the defaults list."""
    text = verb_file(verb).read_text().split("\n\n", 1)[1]
    return [f"  {line}" for line in text.splitlines() if line.strip()]
