"""What is wrong with a command line: every option and key that is not there, with the nearest that is."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ebm_cli.check import nearest
from ebm_cli.cli.keys import LIST_GROUPS, groups, verb_groups
from ebm_cli.run import shipped

# Keys that have another name now, and what to type instead.
MOVED = {"sampler.adapt": "adapt=step", "sampler.target": "target_accept=VALUE, or target_bias=VALUE without a test"}
# Keys of a number that also take a size, such as 200MB.
SIZES = ("trainer.keep",)
TUNES = ("train", "sample", "evaluate")
# The name under which a run's own group stands in Hydra's store.
OF_RUN = "of_run"


def wrong_options(chosen: list[Override], known: dict[str, dict[str, Path]], verb: str) -> list[tuple[Override, str]]:
    """Options that their group does not have, and groups that the verb does not use, with what to say of each."""
    wrong: list[tuple[Override, str]] = []
    for override in chosen:
        group = override.key_or_group
        if group not in verb_groups(verb):
            wrong.append(
                (
                    override,
                    f"{group} is no group of ebm {verb}; its groups are {', '.join(verb_groups(verb))}",
                )
            )
            continue
        if override.is_sweep_override():
            wrong.append((override, f"{override.input_line!r} gives several values: add -m to sweep over them"))
            continue
        value = override.value()
        names = value if isinstance(value, list) else [value]
        if isinstance(value, list) and group not in LIST_GROUPS:
            wrong.append((override, f"{group} takes one name, got {override.input_line!r}"))
            continue
        for name in names:
            if name is None and group != "experiment":
                wrong.append((override, f"{group} must name one of {', '.join(known[group])}, got null"))
            elif name is not None and str(name) not in [*known[group], OF_RUN]:
                options = ", ".join(known[group])
                hint = nearest(str(name), known[group])
                own = (
                    f"; a class of your own: {custom_word(group)} {class_key(group)}={name}" if "." in str(name) else ""
                )
                wrong.append((override, f"{group} has no option {str(name)!r}{own or hint} (options: {options})"))
    return wrong


def wrong_keys(values: list[Override], config: DictConfig, verb: str) -> list[tuple[Override, str]]:
    """What to say of keys that the configuration does not have, several values, and text where a number belongs."""
    whole = plain(config)
    known = dict(flat(whole))
    wrong: list[tuple[Override, str]] = []
    for override in values:
        key = override.key_or_group
        if override.is_add() or override.is_force_add():
            if override.is_add() and key in known:
                plain_word = (override.input_line or key).lstrip("+")
                wrong.append((override, f"{key} is there already: type {plain_word!r}, without the +"))
            continue
        if key not in known and not _is_there(config, key):
            message = moved_key(key, verb) or f"{key} is not a known key{suggestion(override, whole, verb)}"
            wrong.append((override, message))
            continue
        default = known.get(key)
        if override.is_sweep_override():
            several = f"{override.input_line!r} gives several values"
            wrong.append((override, f"{several}: add -m to sweep over them, or quote a list as 'KEY=[A,B]'"))
        if override.is_delete() or override.is_sweep_override():
            continue
        given = override.value()
        is_number = isinstance(default, int | float) and not isinstance(default, bool)
        if is_number and key not in SIZES and isinstance(given, str | bool) and not str(given).startswith("${"):
            wrong.append((override, f"{key} must be a number, got {given!r}"))
        if isinstance(default, bool) and not isinstance(given, bool):
            wrong.append((override, f"{key} must be true or false, got {given!r}"))
        if key.endswith("._target_") and default not in ("???", given):
            group = key.rpartition(".")[0]
            advice = f"for one of your own add {custom_word(group)}"
            wrong.append((override, f"{key} is the class of the option that is chosen; {advice}"))
    return wrong


def moved_key(key: str, verb: str) -> str:
    """What to say of a key that has another name now; empty for any other."""
    now = MOVED.get(key)
    if now is None:
        return ""
    if verb not in TUNES:
        return f"{key} is no key of ebm {verb}, which moves no chains"
    return f"{key} is a key of ebm {verb} itself now: type {now}"


def _is_there(config: DictConfig, key: str) -> bool:
    """Whether a dotted key leads to a value, an item of a list among them."""
    try:
        return OmegaConf.select(config, key, throw_on_missing=False) is not None
    except OmegaConfBaseException:
        return False


def custom_word(group: str) -> str:
    """How a user's own class is chosen in a group, or in a list group's GROUP.MEMBER."""
    top = group.partition(".")[0]
    return f"'{top}=[custom]'" if top in LIST_GROUPS else f"{top}=custom"


def class_key(group: str) -> str:
    """The key that names a user's own class in a group."""
    return f"{group}.custom._target_" if group in LIST_GROUPS else f"{group}._target_"


def suggestion(override: Override, config: dict[str, Any], verb: str) -> str:
    """What a user may have meant by a key that is not there.

    An argument of a class of the user's own, a key of a list group's member that is not chosen, the nearest whole key,
    the nearest key in the same group, one of the same last word, or the nearest group.
    """
    key = override.key_or_group
    known = [name for name, _ in flat(config)]
    path = key.split(".")
    owner = config
    for name in path[:-1]:
        owner = owner.get(name) if isinstance(owner, dict) else None
    if isinstance(owner, dict) and "_target_" in owner and not shipped.is_shipped(str(owner["_target_"]), path[0]):
        return f"; an argument of your own class is typed +{(override.input_line or key).lstrip('+')}"
    if path[0] in LIST_GROUPS and path[0] in verb_groups(verb) and len(path) > 1:
        members = [name for name in groups()[path[0]] if name != "custom"]
        chosen = list(config.get(path[0]) or {})
        if path[1] not in chosen:
            member = path[1] if path[1] in members else next(iter(get_close_matches(path[1], members, n=1)), None)
            if member is not None:
                both = f", or '{path[0]}=[{','.join([*chosen, member])}]' with those chosen now" if chosen else ""
                return f"; choose it first: '{path[0]}=[{member}]'{both}"
    tops = list(dict.fromkeys([*verb_groups(verb), *config]))
    if len(path) == 1:
        return nearest(key, [*tops, *(name for name in known if "." not in name)]) or _by_last_word(key, known, tops)
    return nearest(key, known) or _by_last_word(key, known, tops)


def _by_last_word(key: str, known: list[str], tops: list[str]) -> str:
    """A key of the same last word, or the nearest group, or all groups."""
    last = key.rpartition(".")[2]
    for other in known:
        if other.rpartition(".")[2] == last:
            return f"; did you mean {other!r}?"
    return nearest(key.partition(".")[0], tops) or f"; the keys are {', '.join(tops)}"


def missing_keys(node: Any, prefix: str = "") -> list[str]:
    """Dotted keys whose value is still `???`."""
    if isinstance(node, dict):
        return [key for name, value in node.items() for key in missing_keys(value, f"{prefix}{name}.")]
    return [prefix.rstrip(".")] if node == "???" else []


def flat(node: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted keys and values of a nested dict."""
    pairs: list[tuple[str, Any]] = []
    for key, value in node.items():
        if isinstance(value, dict):
            pairs += flat(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", value))
    return pairs


def plain(config: DictConfig) -> dict[str, Any]:
    """A configuration as nested dicts, interpolations as they stand."""
    container = OmegaConf.to_container(config, resolve=False)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
