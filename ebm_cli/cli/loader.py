"""Hydra's composition, with each configuration that a line loads kept for the lines of a sweep."""

import copy
from dataclasses import dataclass, field
from typing import Any

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathElement
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ebm_cli.check import InputError
from ebm_cli.cli.keys import LIST_GROUPS, conf_folders, verb_groups
from ebm_cli.cli.validation import OF_RUN, flat
from ebm_cli.cli.words import quoted, text

MAX_LOADED = 200
# Configurations that were loaded already, by what they depend on: the jobs of a sweep share most of theirs.
LOADED: dict[tuple[str, ...], DictConfig] = {}


@dataclass(frozen=True)
class Base:
    """What a configuration starts from beside the verb's YAML.

    nodes: a node a group, taken from a run. values: top-level values of that run. experiment: the recipe that applies
    where the line names none.
    """

    nodes: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    experiment: str | None = None


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
        if len(LOADED) >= MAX_LOADED:
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


def is_key_of(override: Override, groups: set[str]) -> bool:
    """Whether an override sets a key inside one of these groups."""
    group, mark, _ = override.key_or_group.partition(".")
    return bool(mark) and group in groups


def note_replaced(config: DictConfig, before: dict[str, Any]) -> None:
    """Keep under `replaced` the sampler that the line replaces, and its steps if the objective stays."""
    sampler, objective = (OmegaConf.create(node) if isinstance(node, dict) else node for node in before.values())
    if target(sampler) in (None, target(config.sampler)):
        return
    steps = objective.get("steps") if target(objective) == target(config.get("objective")) else None
    with open_dict(config):
        config["replaced"] = {"sampler": sampler, "steps": steps}
