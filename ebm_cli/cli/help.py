"""Answer without Hydra or torch: help, version, choices, completion, a misspelt verb."""

import sys

from ebm_cli import __version__
from ebm_cli.check import InputError, nearest_hint
from ebm_cli.cli import keys

HELP = ("--help", "-h")


def answer(arguments: list[str]) -> int | None:
    """Answer a line that needs no heavy import and return the exit code; None if a verb has to run."""
    first, *rest = arguments or ["--help"]
    if first in ("completion", keys.COMPLETE):
        from ebm_cli.cli.completion import completion

        return completion(first, rest)
    try:
        text = answer_text(first, rest)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if text is None:
        return None
    print(text)  # noqa: T201
    return 0


def answer_text(first: str, rest: list[str]) -> str | None:
    """Return the text that answers a line; None if a verb has to run. Raises InputError for an unknown word."""
    words = [word for word in rest if word not in HELP]
    asks = words != rest
    if first in HELP or first == "help" or (first == "choices" and asks):
        if not words or first == "choices":
            return general_help()
        return verb_help(*words) if words[0] in keys.VERBS else "\n\n".join(map(group_help, words))
    if first == "--version":
        return f"ebm {__version__}"
    if first == "choices":
        return choices(*rest)
    if first not in keys.VERBS:
        known = [*keys.VERBS, *keys.QUERIES]
        raise InputError(f"{first!r} is none of {', '.join(known)}{nearest_hint(first, known)}")
    return verb_help(first, *words) if asks else None


def group_help(word: str) -> str:
    """Return the answer to `ebm help GROUP`, `ebm help GROUP=NAME` or `ebm help 'GROUP=[NAME,NAME]'`."""
    group, mark, value = word.partition("=")
    known = [*keys.VERBS, *keys.groups()]
    if group not in keys.groups():
        raise InputError(f"{group!r} is neither a verb nor a group: {', '.join(known)}{nearest_hint(group, known)}")
    return "\n\n".join(choices(group, name) for name in keys.option_names(value)) if mark else choices(group)


def choices(group: str = "", name: str = "", *more: str) -> str:
    """Return the answer to `ebm choices [GROUP] [NAME]`: groups, options of a group, or keys of an option."""
    known = keys.groups()
    if more:
        raise InputError(f"ebm choices takes a group and a name, got {more[0]!r} as well")
    if "=" in group:
        return group_help(group)
    if not group:
        return "\n".join(f"{each:<11} {keys.group_summary(each)}" for each in known)
    if group not in known:
        raise InputError(f"{group!r} is not a group: {', '.join(known)}{nearest_hint(group, known)}")
    options = known[group]
    if not name:
        return "\n".join(option_summaries(group))
    if name not in options:
        raise InputError(f"{group} has no option {name!r}{nearest_hint(name, options)} (options: {', '.join(options)})")
    return "\n".join([f"{group}={name}: {keys.first_comment(options[name])}", *option_lines(group, name)])


def general_help() -> str:
    """Return the answer to `ebm --help`."""
    verbs = [f"  {verb:<9} {verb_text(verb)[0]}" for verb in keys.VERBS]
    named = {group: ", ".join(name for name in options if name != "custom") for group, options in keys.groups().items()}
    lines = [f"  {group:<11} {names or 'custom'}" for group, names in named.items()]
    return (keys.TEXTS / "ebm.txt").read_text().rstrip().format(verbs="\n".join(verbs), groups="\n".join(lines))


def verb_text(verb: str) -> tuple[str, str]:
    """Return a verb's summary, and its examples and notes."""
    summary, _, rest = (keys.TEXTS / f"{verb}.txt").read_text().partition("\n\n")
    return summary, rest


def verb_help(verb: str, *words: str) -> str:
    """Return the answer to `ebm VERB --help`.

    It contains the keys of the options in `words`, examples, every option with a summary, and the verb's keys.
    """
    chosen = keys.typed_options(list(words), verb)
    summary, examples = verb_text(verb)
    lines = [f"ebm {verb}: {summary}", ""]
    for group, names in chosen.items():
        for name in names:
            lines += [f"keys of {group}={name}, with their defaults:", *option_lines(group, name), ""]
    lines.append(examples)
    for group in keys.verb_groups(verb):
        lines += [f"{group}{' (a list)' if group in keys.LIST_GROUPS else ''}:"]
        lines += [*(f"  {line}" for line in option_summaries(group)), ""]
    # The verb's own keys follow the defaults list.
    lines += ["keys, with their defaults:", *indent(keys.verb_file(verb).read_text().partition("\n\n")[2]), ""]
    if not chosen:
        group, name = ("diagnostic", "autocorrelation") if verb == "diagnose" else ("sampler", "sghmc")
        lines += [f"ebm {verb} {group}={name} --help also shows the keys of that option:", *option_lines(group, name)]
    return "\n".join(
        [*lines, "", "-m sweeps over comma-separated values: ebm sample -m run=latest sampler.temperature=0.5,1,2"]
    )


def option_summaries(group: str) -> list[str]:
    """Return every option of a group with its first comment, one per line."""
    return [f"{name:<26} {keys.first_comment(path)}" for name, path in keys.groups().get(group, {}).items()]


def option_lines(group: str, name: str) -> list[str]:
    """Return the keys of an option with defaults and meanings, or the values that a recipe sets."""
    if group == "experiment":
        return indent(keys.groups()[group][name].read_text())
    return [f"  {key.name}: {key.default}  # {key.comment}" for key in keys.option_keys(group, name)]


def indent(text: str) -> list[str]:
    """Return the lines of a text that are not blank, indented."""
    return [f"  {line}" for line in text.splitlines() if line.strip()]
