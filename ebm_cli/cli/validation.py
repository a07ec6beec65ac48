"""Find what is wrong with a command line: every unknown option and key, each with the nearest known name."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ebm_cli.check import nearest_hint
from ebm_cli.cli.keys import LIST_GROUPS, groups, verb_groups
from ebm_cli.run import shipped
from ebm_cli.run.nested import flatten, value_at
from ebm_cli.run.renamed_keys import MOVED, TEMPERING

# Keys that belonged to the sampler and now belong to the verb, and what to type instead.
RENAMED_KEYS = {
    "sampler.adapt": "adapt=step",
    "sampler.target": "target_accept=VALUE, or target_bias=VALUE if the sampler is unadjusted",
}
# Keys whose default is a number, but which also take a size, such as 200MB.
SIZE_KEYS = ("trainer.keep",)
# The verbs that move chains, and therefore have the keys of tuning.
TUNING_VERBS = ("train", "sample", "evaluate")
# With run=RUN, every group has this option as well: the run's own configuration of it.
OF_RUN = "of_run"


def option_errors(
    override: Override, known: dict[str, dict[str, Path]], verb: str, of_run: Collection[str]
) -> Iterator[str]:
    """Yield what is wrong with a word GROUP=NAME or GROUP=[NAME,…].

    known: the options of each group, with the file of each.
    of_run: the groups for which the line's run has a configuration.
    """
    group, word = override.key_or_group, override.input_line
    if group not in verb_groups(verb):
        yield f"{group} is not a group of ebm {verb}; its groups are {', '.join(verb_groups(verb))}"
        return
    if override.is_sweep_override():
        yield f"{word!r} gives several values: add -m to sweep over them"
        return
    value = override.value()
    if isinstance(value, list) and group not in LIST_GROUPS:
        yield f"{group} takes one name, got {word!r}"
        return
    options = ", ".join(known[group])
    for name in value if isinstance(value, list) else [value]:
        if name is None and group != "experiment":
            yield f"{group} must name one of {options}, got null"
        elif name == OF_RUN and not of_run:
            yield f"{word} is the {group} of a run: add {'init' if verb == 'train' else 'run'}=RUN"
        elif name is not None and str(name) not in known[group] and (name != OF_RUN or group not in of_run):
            hint = nearest_hint(str(name), known[group])
            if "." in str(name):
                hint = f"; a class of your own: {custom_word(group)} {class_key(group)}={name}"
            yield f"{group} has no option {str(name)!r}{hint} (options: {options})"


def wrong_keys(overrides: list[Override], config: DictConfig, verb: str) -> list[tuple[Override, str]]:
    """Return the words that set an unknown key, several values, or a value of another type, each with a message.

    overrides: words KEY=VALUE that do not choose an option of a group.
    """
    whole = plain_dict(config)
    known = dict(flatten(whole))
    wrong: list[tuple[Override, str]] = []
    for override in overrides:
        key = override.key_or_group
        if override.is_add() or override.is_force_add():
            if override.is_add() and key in known:
                plain_word = (override.input_line or key).lstrip("+")
                wrong.append((override, f"{key} exists already: type {plain_word!r}, without the +"))
        elif key not in known and not has_key(config, key):
            message = renamed_key_message(key, verb)
            wrong.append((override, message or f"{key} is not a known key{suggestion(override, whole, verb)}"))
        else:
            wrong += [(override, message) for message in value_errors(override, known)]
    return wrong


def value_errors(override: Override, known: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the value of a known key.

    known: the default of each dotted key.
    """
    key = override.key_or_group
    default = known.get(key)
    if override.is_sweep_override():
        several = f"{override.input_line!r} gives several values"
        yield f"{several}: add -m to sweep over them, or quote a list as 'KEY=[A,B]'"
    if override.is_delete() or override.is_sweep_override():
        return
    given = override.value()
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    # An interpolation, ${KEY}, is resolved later.
    if is_number and key not in SIZE_KEYS and isinstance(given, str | bool) and not str(given).startswith("${"):
        yield f"{key} must be a number, got {given!r}"
    if isinstance(default, bool) and not isinstance(given, bool):
        yield f"{key} must be true or false, got {given!r}"
    group, _, last = key.rpartition(".")
    # The name of an option fixes its class. An argument of an option, such as a second data set, may be of any class.
    is_argument = f"{group.rpartition('.')[0]}._target_" in known
    if last == "_target_" and not is_argument and default not in ("???", given):
        yield f"{key} is the class of the chosen option; for a class of your own add {custom_word(group)}"


def renamed_key_message(key: str, verb: str) -> str:
    """Return what to type for a key that was renamed; empty for any other key."""
    group, _, last = key.rpartition(".")
    if group == "sampler" and (moved := MOVED[TEMPERING].get(last)):
        return f"{key} was a key of sampler=tempering and is now called {moved}. Type sampler=tempering as well"
    if key not in RENAMED_KEYS:
        return ""
    if verb not in TUNING_VERBS:
        return f"{key} is not a key of ebm {verb}: this verb moves no chains"
    return f"{key} is now a key of ebm {verb} itself: type {RENAMED_KEYS[key]}"


def has_key(config: DictConfig, key: str) -> bool:
    """Return True if a dotted key leads to a value. The value may be an item of a list."""
    try:
        return OmegaConf.select(config, key, throw_on_missing=False) is not None
    except OmegaConfBaseException:
        return False


def custom_word(group: str) -> str:
    """Return the word that chooses a user's own class.

    group: a group, or GROUP.MEMBER for a member of a list group.
    """
    top = group.partition(".")[0]
    return f"'{top}=[custom]'" if top in LIST_GROUPS else f"{top}=custom"


def class_key(group: str) -> str:
    """Return the key whose value is the name of a user's own class in a group."""
    return f"{group}.custom._target_" if group in LIST_GROUPS else f"{group}._target_"


def suggestion(override: Override, config: dict[str, Any], verb: str) -> str:
    """Return a hint at what the user may have meant by an unknown key.

    The first that applies: an argument of the user's own class; a key of an option of a list group that is not chosen;
    the nearest key; a key with the same last word; the nearest group.
    """
    key = override.key_or_group
    known = [name for name, _ in flatten(config)]
    path = key.split(".")
    owner = value_at(config, key.rpartition(".")[0])
    if isinstance(owner, dict) and "_target_" in owner and not shipped.is_shipped(str(owner["_target_"]), path[0]):
        return f"; an argument of your own class is typed +{(override.input_line or key).lstrip('+')}"
    if path[0] in LIST_GROUPS and path[0] in verb_groups(verb) and len(path) > 1:
        members = [name for name in groups()[path[0]] if name != "custom"]
        chosen = list(config.get(path[0]) or {})
        close = [path[1]] if path[1] in members else get_close_matches(path[1], members, n=1)
        if path[1] not in chosen and close:
            both = f", or '{path[0]}=[{','.join([*chosen, close[0]])}]' with those chosen now" if chosen else ""
            return f"; choose it first: '{path[0]}=[{close[0]}]'{both}"
    tops = list(dict.fromkeys([*verb_groups(verb), *config]))
    if hint := nearest_hint(key, known if len(path) > 1 else [*tops, *(name for name in known if "." not in name)]):
        return hint
    if same_last_word := [name for name in known if name.rpartition(".")[2] == path[-1]]:
        return f"; did you mean {same_last_word[0]!r}?"
    return nearest_hint(path[0], tops) or f"; the keys are {', '.join(tops)}"


def plain_dict(config: DictConfig) -> dict[str, Any]:
    """Return a configuration as nested dicts, with its interpolations unresolved."""
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
