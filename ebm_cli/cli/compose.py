"""Configuration by Hydra, with every mistake found at once and named in one line each."""

import copy
import re
import sys
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathElement
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ebm_cli.check import InputError
from ebm_cli.cli.keys import LIST_GROUPS, conf_folders, groups, verb_groups
from ebm_cli.cli.validation import OF_RUN, flat, missing_keys, wrong_keys, wrong_options

# Keys whose value is a path, and those of them that take one path only.
PATHS = ("out", "name", "run", "init", "resume", "data.path", "score", "log_weights")
ONE_PATH = ("out", "name")


@dataclass(frozen=True)
class Base:
    """What a configuration starts from beside the verb's YAML.

    nodes: a node a group, taken from a run. values: top-level values of that run. experiment: the recipe that applies
    where the line names none.
    """

    nodes: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    experiment: str | None = None


class WrongWords(InputError):
    """Some words of a line are wrong by themselves: with what to say of each."""

    def __init__(self, wrong: list[tuple[Override, str]]) -> None:
        super().__init__(*(message for _, message in wrong))
        self.words = [override for override, _ in wrong]


def parse(arguments: list[str]) -> list[Override]:
    """Command-line words as Hydra overrides; InputError names each that cannot be read."""
    parser = OverridesParser.create()
    parsed: list[Override] = []
    wrong: list[str] = []
    for word in arguments:
        key, mark, _ = word.partition("=")
        if not mark and not word.startswith("~"):
            hint = " (flags are -m and --help)" if word.startswith("-") else ""
            wrong.append(f"{word!r} is not of the form KEY=VALUE{hint}")
            continue
        if not key.strip("+~ "):
            wrong.append(f"{word!r} names no key: it must be of the form KEY=VALUE")
            continue
        try:
            parsed.append(parser.parse_override(literal(word)))
            # Hydra reads some values only when asked for them.
            parsed[-1].value()
        except (HydraException, ValueError) as error:
            detail = (str(error).splitlines() or [type(error).__name__])[0]
            wrong.append(f"{word!r} cannot be read ({detail}); quote values with spaces, commas or brackets")
    if wrong:
        raise InputError(*wrong)
    return parsed


def literal(word: str) -> str:
    """The word, its value quoted for Hydra where it is a path: any character may stand in a folder's name.

    A value that is quoted, null, or an interpolation stays, and so does a list of paths to sweep over.
    """
    key, _, value = word.partition("=")
    if key == "energy.runs" and value[:1] == "[" and value[-1:] == "]" and not value[1:].strip().startswith(("'", '"')):
        return f"{key}=[{','.join(path_text(path) for path in paths_in(value[1:-1]))}]"
    if key not in PATHS or value in ("", "null") or value[0] in "'\"" or "${" in value:
        return word
    several = "," in value or re.match(r"(choice|range|glob|sort|shuffle|tag)\(", value)
    return word if several and key not in ONE_PATH and not is_there(value) else f"{key}={path_text(value)}"


def paths_in(text: str) -> list[str]:
    """The paths of a list; a comma inside the name of a path that exists does not split it."""
    pieces = text.split(",") if text.strip() else []
    found: list[str] = []
    while pieces:
        joined = [",".join(pieces[:count]).strip() for count in range(len(pieces), 0, -1)]
        path = next((path for path in joined if is_there(path)), joined[-1])
        found.append(path)
        pieces = pieces[len(pieces) - joined.index(path) :] if path in joined else []
    return found


def is_there(path: str) -> bool:
    """Whether a path exists; false for what cannot be one."""
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def text(override: Override) -> str:
    """The override as the user typed it."""
    return override.input_line or ""


def compose(verb: str, overrides: list[Override], base: Base) -> dict[str, Any]:
    """The whole configuration as plain values, or InputError with everything that is wrong.

    A group that the line chooses replaces that group whole: nothing of a recipe's or a run's values for
    another option leaks
    into it.
    """
    known = groups()
    chosen = [o for o in overrides if o.key_or_group in known and "." not in o.key_or_group]
    wrong = wrong_options(chosen, known, verb)
    overrides = [o for o in overrides if not is_no_recipe(o)]
    spoilt = {o.key_or_group for o, _ in wrong}
    chosen = [o for o in chosen if o.key_or_group not in spoilt and not is_no_recipe(o)]
    again = [o for o in chosen if names_again(o, base, known)]
    overrides, chosen = ([o for o in each if o not in again] for each in (overrides, chosen))
    named = {o.key_or_group for o in chosen}
    words = [f"{group}={OF_RUN}" for group in base.nodes if group not in named]
    if base.experiment is not None and "experiment" not in named:
        words.append(f"experiment={base.experiment}")
    with Loader(base) as loader:
        bare = loader.load(verb, words, chosen, named)
        with open_dict(bare):
            bare.merge_with(base.values)
        values = [o for o in overrides if o not in chosen and o.key_or_group.partition(".")[0] not in spoilt]
        wrong += wrong_keys(values, bare, verb)
        if wrong:
            raise WrongWords(wrong)
        full = loader.load(verb, words, overrides, named, base.values)
    try:
        config = OmegaConf.to_container(full, resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(str(error).splitlines()[0]) from None
    assert isinstance(config, dict)
    missing = sorted(set(missing_keys(config)))
    if missing:
        raise InputError(*(f"{key} must be given: {key}=VALUE" for key in missing))
    return {str(key): value for key, value in config.items()}


def names_again(override: Override, base: Base, known: dict[str, dict[str, Path]]) -> bool:
    """Whether a group is chosen as the run has it already, whose values then stay."""
    node, name = base.nodes.get(override.key_or_group), str(override.value())
    if node is None or override.key_or_group in LIST_GROUPS or name not in known[override.key_or_group]:
        return False
    own = yaml.safe_load(known[override.key_or_group][name].read_text()).get("_target_")
    return own != "???" and own == node.get("_target_")


def is_no_recipe(override: Override) -> bool:
    """`experiment=null`: the verb's own defaults, which Hydra has no word for on a command line."""
    return override.key_or_group == "experiment" and not override.is_sweep_override() and override.value() is None


def is_key_of(override: Override, groups: set[str]) -> bool:
    """Whether an override sets a key inside one of these groups."""
    group, mark, _ = override.key_or_group.partition(".")
    return bool(mark) and group in groups


# Configurations that were loaded already, by what they depend on: the jobs of a sweep share most of theirs.
LOADED: dict[tuple[str, ...], DictConfig] = {}
MOST_LOADED = 200


class Loader:
    """Hydra's configuration loader over our folders, for the length of a `with` block."""

    def __init__(self, base: Base) -> None:
        self.base = base

    def __enter__(self) -> "Loader":
        GlobalHydra.instance().clear()
        ours, *self.own = conf_folders()
        search = create_config_search_path(str(ours))
        for folder in self.own:
            # Hydra wants its schema source, which create_config_search_path puts last, to stay there.
            search.get_path().insert(-1, SearchPathElement("user", f"file://{folder}"))
        store = ConfigStore.instance()
        for group, node in self.base.nodes.items():
            store.store(group=group, name=OF_RUN, node=node, package=group)
        self.loader = Hydra.create_main_hydra2("ebm", search).config_loader
        return self

    def __exit__(self, *error: object) -> None:
        GlobalHydra.instance().clear()

    def load(
        self,
        verb: str,
        words: list[str],
        overrides: list[Override],
        named: set[str],
        values: dict[str, Any] | None = None,
    ) -> DictConfig:
        """The verb's configuration under `words` and `overrides`.

        Groups in `named`, and those of a run beside a recipe, are free of the recipe's values, unless they are of the
        option that the recipe itself has. A sampler that replaces another is noted under `replaced`.
        """
        recipe = any(word.startswith("experiment=") for word in [*words, *map(text, overrides)])
        apart = named | set(self.base.nodes) if recipe else named
        apart &= set(verb_groups(verb)) - {"experiment"}
        if not apart or not (recipe or self.base.nodes):
            return self._load(verb, [*words, *map(text, overrides)], values)
        others = [text(o) for o in overrides if o.key_or_group not in apart and not is_key_of(o, apart)]
        before = self._load(verb, [*(w for w in words if w.partition("=")[0] not in apart), *others], None)
        clean, again = {}, set()
        for group in sorted(apart) if recipe else ():
            mine = [text(o) for o in overrides if o.key_or_group == group or is_key_of(o, {group})]
            clean[group] = self._load(verb, [*(w for w in words if w.partition("=")[0] == group), *mine], None).get(
                group
            )
            # What a run has beside a recipe stays the run's, of whatever option.
            if group in named and (group in LIST_GROUPS or target(clean[group]) == target(before.get(group))):
                again.add(group)
        # Keys of another option go to that one only: the recipe's may have a key of the same name.
        other = clean.keys() - again
        config = self._load(verb, [*words, *(text(o) for o in overrides if not is_key_of(o, other))], values)
        for group, node in clean.items():
            with open_dict(config):
                config[group] = unmixed(config.get(group), node, before.get(group), group) if group in again else node
        if verb == "train" and "sampler" in named:
            nodes = {group: self.base.nodes.get(group, before.get(group)) for group in ("sampler", "objective")}
            note_replaced(config, nodes)
        return config

    def _load(self, verb: str, line: list[str], values: dict[str, Any] | None) -> DictConfig:
        added = []
        for key, value in flat(values or {}):
            if not any(word.lstrip("+~").startswith(f"{key}=") for word in line):
                added.append(f"++{key}={quoted(value)}")
        key = (verb, *line, *added, repr(self.base.nodes))
        if key in LOADED and not self.own:
            return copy.deepcopy(LOADED[key])
        try:
            config = self.loader.load_configuration(
                config_name=verb, overrides=[*line, *added], run_mode=RunMode.RUN, from_shell=False
            )
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise InputError(" ".join(str(error).split())[:300]) from None
        with open_dict(config):
            del config["hydra"]
        if len(LOADED) >= MOST_LOADED:
            LOADED.clear()
        LOADED[key] = copy.deepcopy(config)
        return config


def unmixed(mixed: Any, clean: Any, recipe: Any, group: str) -> Any:
    """A group's node: `mixed` with the recipe's values where both are of one option, else `clean` of them."""
    if group in LIST_GROUPS:
        return {name: unmixed(mixed.get(name), clean[name], (recipe or {}).get(name), "") for name in clean or {}}
    return mixed if clean is not None and target(clean) == target(recipe) else clean


def target(node: Any) -> str | None:
    """The class that a group's node names; None for none."""
    name = None if node is None else OmegaConf.to_container(node, resolve=False).get("_target_")  # pyright: ignore
    return None if name in (None, "???") else str(name)


def note_replaced(config: DictConfig, before: dict[str, Any]) -> None:
    """Keep under `replaced` the sampler that the line replaces, and its steps if the objective stays."""
    sampler, objective = (OmegaConf.create(node) if isinstance(node, dict) else node for node in before.values())
    if target(sampler) in (None, target(config.sampler)):
        return
    steps = objective.get("steps") if target(objective) == target(config.get("objective")) else None
    with open_dict(config):
        config["replaced"] = {"sampler": sampler, "steps": steps}


def quoted(value: Any) -> str:
    """A plain value in Hydra's override grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, list):
        return "[" + ",".join(quoted(item) for item in value) + "]"
    return repr(value)


def path_text(path: str) -> str:
    """A path in Hydra's override grammar: as it is where that needs no quotes."""
    word = re.fullmatch(r"[A-Za-z_./][\w./-]*", path, flags=re.ASCII) is not None
    return path if word and path.lower() not in ("true", "false", "null", "nan", "inf") else quoted(path)


def unquoted(value: str) -> str:
    """A word's value as text, without the quotes of Hydra's grammar."""
    if len(value) < 2 or value[0] not in "'\"" or value[-1] != value[0]:
        return value
    return str(OverridesParser.create().parse_override(f"key={value}").value())


def sweep_jobs(overrides: list[Override], most: int) -> list[list[Override]]:
    """Every combination of the values that sweep overrides list, the last key varying fastest; at most so many."""
    jobs: list[list[str]] = [[]]
    for override in overrides:
        if not override.is_sweep_override():
            words = [text(override)]
        elif override.is_discrete_sweep() or override.is_range_sweep():
            key = override.get_key_element()
            try:
                words = [f"{key}={value}" for value in islice(override.sweep_string_iterator(), most + 1)]
            except (HydraException, ValueError, TypeError, ArithmeticError):
                words = []
            if not words:
                raise InputError(f"{text(override)!r} lists no values to sweep over")
        else:
            raise InputError(f"{text(override)!r} cannot be swept: list its values, or use range(…)")
        if len(jobs) * len(words) > most:
            raise InputError(f"{text(override)!r} makes more than {most:,} jobs")
        jobs = [[*job, word] for job in jobs for word in words]
    return [parse(job) for job in jobs]


def swept(overrides: list[Override]) -> list[str]:
    """The keys that sweep."""
    return [o.key_or_group for o in overrides if o.is_sweep_override()]


def append_current_folder() -> None:
    """Let a user's own modules be imported, after everything that is installed."""
    here = str(Path.cwd())
    sys.path[:] = [entry for entry in sys.path if entry not in ("", here)] + [here]
