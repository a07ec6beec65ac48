"""Shell completion. It reads only the YAML files of the package and of runs, without torch or Hydra."""

import sys
from pathlib import Path
from typing import Any

from ebm_cli.check import InputError
from ebm_cli.cli import keys, runs
from ebm_cli.run.folder import Run
from ebm_cli.run.nested import flatten
from ebm_cli.run.shipped import option_name

SHELLS = ("bash", "zsh", "fish")
RUN_KEYS = {"train": ("resume", "init"), "sample": ("run",), "evaluate": ("run",), "diagnose": ("run",)}
MAX_RUNS = 50

Alternatives = dict[str, list[str]]


def completion(command: str, arguments: list[str]) -> int:
    """Answer `ebm completion SHELL` with a script, and `ebm _complete LINE` with the next words, one per line."""
    if command == keys.COMPLETE:
        line = arguments[0] if arguments else "ebm "
        sys.stdout.writelines(f"{word}\n" for word in candidates(line))
        return 0
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        sys.stderr.write(f"error: ebm completion takes a shell: {', '.join(SHELLS)}\n")
        return 2
    sys.stdout.write((keys.TEXTS / f"ebm.{arguments[0]}").read_text())
    return 0


def candidates(line: str) -> list[str]:
    """Return the words that can complete the last word of `line`, or follow it after a space."""
    words = line.split()
    current = "" if line.endswith(" ") or not words else words.pop()
    # An opening quote belongs to the shell.
    current = current.lstrip("'\"")
    if len(words) <= 1:
        options = [*keys.VERBS, *keys.QUERIES, "--help", "--version"]
    else:
        options = next_words(words[1], [word.strip("'\"") for word in words[2:]], current)
    return sorted({option for option in options if option.startswith(current)})


def next_words(first: str, given: list[str], current: str) -> list[str]:
    """Return the words that may follow the `first` word of a line and the further words `given` so far."""
    known = keys.groups()
    if first == "completion":
        return list(SHELLS)
    if first == "choices":
        return list(known) if not given else list(known.get(given[0], {}))
    if first == "help":
        return [*keys.VERBS, *(f"{group}=" for group in known)] if "=" not in current else option_words(current)
    if first not in keys.VERBS:
        return []
    if "=" in current:
        return value_words(first, given, current)
    return [*(f"{key}=" for key in verb_keys(first, given)), "-m", "--help"]


def verb_keys(verb: str, given: list[str]) -> Alternatives:
    """Return every key that a verb takes, with its alternatives.

    These are the verb's own keys, its groups, and the keys of the options that are chosen by the line, by the run that
    it names, or by default.
    """
    own = alternatives(keys.keys_of(keys.verb_file(verb)))
    if any(word.startswith("resume=") for word in given):
        return {key: own.get(key, []) for key in keys.RESUME_KEYS}
    found: Alternatives = own | {key: [] for key in RUN_KEYS[verb]}
    typed, of_run = keys.typed_options(given, verb), run_keys(verb, given)
    for group, names in (keys.default_options(verb) | typed).items():
        found[group] = []
        for name in names if group != "experiment" else ():
            found |= alternatives(keys.option_keys(group, name))
        if group not in typed:
            found |= of_run.get(group, {})
    return found


def alternatives(found: list[keys.Key]) -> Alternatives:
    """Return the alternatives of each key, by its name."""
    return {key.name: key.alternatives for key in found}


def named_run(verb: str, given: list[str]) -> Run | None:
    """Return the last run that the line names; None if it names none."""
    named = [word.partition("=") for word in given if word.startswith(tuple(f"{key}=" for key in RUN_KEYS[verb]))]
    if not named:
        return None
    key, _, value = named[-1]
    try:
        run = runs.find(value, verb, key)
    except (InputError, OSError):
        return None
    return run if isinstance(run, Run) else None


def run_keys(verb: str, given: list[str]) -> dict[str, Alternatives]:
    """Return the keys of the groups of the run that the line names, by group."""
    run = named_run(verb, given) if verb != "diagnose" else None
    try:
        config = run.config() if run is not None else {}
    except (InputError, OSError):
        return {}
    return {
        group: {
            name: node_alternatives(group, config[group], name)
            for name, _ in flatten(config[group], f"{group}.")
            if not name.endswith("._target_")
        }
        for group in (keys.TRAINING_GROUPS if verb == "train" else keys.MODEL_GROUPS)
        if isinstance(config.get(group), dict)
    }


def node_alternatives(group: str, node: dict[str, Any], name: str) -> list[str]:
    """Return the alternatives of a key of a run's node, from the YAML file of the same class."""
    names = node if group in keys.LIST_GROUPS else [option_name(node.get("_target_"))]
    return next((key.alternatives for each in names for key in keys.option_keys(group, each) if key.name == name), [])


def value_words(verb: str, given: list[str], current: str) -> list[str]:
    """Return the words with this key and a value: an option of its group, a run, an alternative or a checkpoint."""
    key = current.partition("=")[0]
    if key in ("run", "resume", "init"):
        return [f"{key}={name}" for name in run_names(verb)]
    if key in keys.groups():
        return option_words(current)
    words = verb_keys(verb, given).get(key, [])
    if key == "checkpoint" and (run := named_run(verb, given)) is not None:
        words = [*words, *map(str, run.steps())]
    return [f"{key}={word}" for word in words if word == word.lower()]


def option_words(current: str) -> list[str]:
    """Return the words that complete `GROUP=` or `GROUP=[NAME,` with an option; a list does not repeat an option."""
    group, _, value = current.partition("=")
    names = list(keys.groups().get(group, {}))
    if group not in keys.LIST_GROUPS:
        return [f"{group}={name}" for name in names]
    before = value.rpartition(",")[0] + "," if "," in value else "["
    taken = before.strip("[,").split(",")
    last = value.rpartition(",")[2].strip("[")
    done = [f"{group}={value}]"] if last in names and value.startswith("[") else []
    return [*(f"{group}={before}{name}" for name in names if name not in taken), *done]


def run_names(verb: str) -> list[str]:
    """Return `latest` and the newest folders under ./outputs that the verb can use (at most 50 per verb)."""
    found = ["latest"]
    for made in runs.USES[verb]:
        folders = sorted(Path("outputs", made).glob("*/*"), reverse=True)
        found += [str(folder) for folder in folders if (folder / "config.yaml").exists()][:MAX_RUNS]
    return found
