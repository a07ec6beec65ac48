"""Compose configurations with Hydra once per choice of options, and set the values that a line gives in a copy."""

import copy
from dataclasses import dataclass, field
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathElement
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ebm_cli.check import InputError
from ebm_cli.cli.keys import LIST_GROUPS, conf_folders, verb_groups
from ebm_cli.cli.validation import OF_RUN
from ebm_cli.cli.words import quote, text
from ebm_cli.run.nested import flatten

MAX_CACHED = 200
# Loaded configurations, by the verb, the words and the run on which they depend.
CACHE: dict[tuple[str, ...], DictConfig] = {}


@dataclass(frozen=True)
class Base:
    """Values from a run or a recipe to which a configuration adds the words of the line.

    nodes: one node per group, taken from a run.
    values: top-level values of that run.
    experiment: the recipe that applies if the line names none.
    """

    nodes: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    experiment: str | None = None


class Loader:
    """Hydra's configuration loader for the folders of groups. It works inside a `with` block."""

    def __init__(self, base: Base) -> None:
        self.base = base

    def __enter__(self) -> "Loader":
        GlobalHydra.instance().clear()
        ours, *self.own = conf_folders()
        search = create_config_search_path(str(ours))
        for folder in self.own:
            # create_config_search_path puts Hydra's schema source last, and there it must stay.
            search.get_path().insert(-1, SearchPathElement("user", f"file://{folder}"))
        store = ConfigStore.instance()
        for group, node in self.base.nodes.items():
            store.store(group=group, name=OF_RUN, node=node, package=group)
        loader = Hydra.create_main_hydra2("ebm", search).config_loader
        assert isinstance(loader, ConfigLoaderImpl)
        self.loader = loader
        return self

    def __exit__(self, *error: object) -> None:
        GlobalHydra.instance().clear()

    def load(
        self, verb: str, words: list[str], overrides: list[Override], named: set[str], values: Any = None
    ) -> DictConfig:
        """Return the verb's configuration.

        A group that the line names or that comes from a run takes values from a recipe only if both have the same
        option. If the line replaces the sampler of training, the earlier sampler is recorded under `replaced`.

        words: words that are added to the line.
        overrides: the line.
        named: groups that the line names.
        values: top-level values of a run that apply unless the line sets them.
        """
        has_recipe = any(word.startswith("experiment=") for word in [*words, *map(text, overrides)])
        separate = named | set(self.base.nodes) if has_recipe else named
        separate &= set(verb_groups(verb)) - {"experiment"}
        if not separate or not (has_recipe or self.base.nodes):
            return self._load(verb, [*words, *map(text, overrides)], values)
        others = [text(o) for o in overrides if o.key_or_group not in separate and not is_key_of(o, separate)]
        before = self._load(verb, [*(w for w in words if w.partition("=")[0] not in separate), *others], None)
        own_nodes, same_option = {}, set()
        for group in sorted(separate) if has_recipe else ():
            own = [word for word in words if word.partition("=")[0] == group]
            own += [text(o) for o in overrides if o.key_or_group == group or is_key_of(o, {group})]
            node = own_nodes[group] = self._load(verb, own, None).get(group)
            # A group that comes from the run keeps the run's values, whichever option the recipe has.
            if group in named and (group in LIST_GROUPS or target_of(node) == target_of(before.get(group))):
                same_option.add(group)
        # The recipe's option may have a key of the same name as the option that replaces it.
        replacing = own_nodes.keys() - same_option
        config = self._load(verb, [*words, *(text(o) for o in overrides if not is_key_of(o, replacing))], values)
        with open_dict(config):
            for group, node in own_nodes.items():
                is_same = group in same_option
                config[group] = group_node(config.get(group), node, before.get(group), group) if is_same else node
        if verb == "train" and "sampler" in named:
            nodes = {group: self.base.nodes.get(group, before.get(group)) for group in ("sampler", "objective")}
            record_replaced(config, nodes)
        return config

    def _load(self, verb: str, line: list[str], values: dict[str, Any] | None) -> DictConfig:
        added = []
        for key, value in flatten(values or {}):
            if not any(word.lstrip("+~").startswith(f"{key}=") for word in line):
                added.append(f"++{key}={quote(value)}")
        try:
            parsed = OverridesParser.create().parse_overrides([*line, *added])
            options = [override for override in parsed if self._chooses_option(override)]
            config = self._composed(verb, list(map(text, options)))
            ConfigLoaderImpl._apply_overrides_to_config([o for o in parsed if o not in options], config)
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise InputError(" ".join(str(error).split())[:300]) from None
        return config

    def _chooses_option(self, override: Override) -> bool:
        """Return True if Hydra needs the override to compose, False if it sets a value of what is composed."""
        is_group = self.loader.repository.group_exists(override.key_or_group)
        return override.is_sweep_override() or (is_group and not isinstance(override.value(), dict))

    def _composed(self, verb: str, options: list[str]) -> DictConfig:
        """Return the configuration that Hydra composes of the verb's YAML and of chosen options."""
        key = (verb, *options, repr(self.base.nodes))
        if key in CACHE and not self.own:
            return copy.deepcopy(CACHE[key])
        config = self.loader.load_configuration(
            config_name=verb, overrides=options, run_mode=RunMode.RUN, from_shell=False
        )
        with open_dict(config):
            del config["hydra"]
        if not self.own:
            if len(CACHE) >= MAX_CACHED:
                CACHE.clear()
            CACHE[key] = copy.deepcopy(config)
        return config


def group_node(mixed: Any, own: Any, recipe: Any, group: str) -> Any:
    """Return a group's node: `mixed`, with the recipe's values, if both have the same option, otherwise `own`."""
    if group in LIST_GROUPS:
        return {name: group_node(mixed.get(name), own[name], (recipe or {}).get(name), "") for name in own or {}}
    return mixed if own is not None and target_of(own) == target_of(recipe) else own


def target_of(node: Any) -> str | None:
    """Return the class that a group's node names; None if it names none."""
    name = None if node is None else OmegaConf.to_container(node, resolve=False).get("_target_")  # pyright: ignore
    return None if name in (None, "???") else str(name)


def is_key_of(override: Override, groups: set[str]) -> bool:
    """Return True if an override sets a key inside any of these groups."""
    group, mark, _ = override.key_or_group.partition(".")
    return bool(mark) and group in groups


def record_replaced(config: DictConfig, before: dict[str, Any]) -> None:
    """Record under `replaced` the sampler that the line replaces, and its steps if the objective stays."""
    sampler, objective = (OmegaConf.create(node) if isinstance(node, dict) else node for node in before.values())
    if target_of(sampler) in (None, target_of(config.sampler)):
        return
    steps = objective.get("steps") if target_of(objective) == target_of(config.get("objective")) else None
    with open_dict(config):
        config["replaced"] = {"sampler": sampler, "steps": steps}
