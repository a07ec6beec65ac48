"""Values that suit replica exchange in training, for the keys of a recipe that were chosen for other samplers."""

import copy
import functools
from typing import Any

from ebm_cli.assembly.build import node_of
from ebm_cli.assembly.permission import Config
from ebm_cli.chain.path_kernels import DISCRETE_PILOT_KERNEL, path_hmc
from ebm_cli.run.folder import Run
from ebm_cli.run.terminal import Terminal

TEMPERING = "ebm_cli.sampler.tempering.Tempering"
REPLAY = "ebm_cli.start.replay.Replay"
# The kernel of each path whose places a pilot run finds; it also finds the kernel's step. Trajectories are short.
KERNELS = {
    "ebm_cli.path.base.BasePath": path_hmc(0.3, 4),
    "ebm_cli.path.rates.RatesPath": DISCRETE_PILOT_KERNEL,
}


def with_replica_defaults(config: Config, run: Run, terminal: Terminal) -> Config:
    """Return the configuration of training with values for replica exchange whose places a pilot run finds.

    It applies if the line chooses the sampler or the path and does not say adapt=none. Keys on the line stay. One step
    of all replicas replaces many steps of a chain, and every chain is moved in every training step. Chains do not
    restart, because the far end of the path sends new states. The values are printed and written to config.yaml.
    """
    typed = set(config["made"]["chosen"])
    groups = {key.partition(".")[0] for key in typed}
    if config.get("adapt") == "none" or not {"sampler", "path"} & groups or not finds_places(config):
        return config
    values = suitable_values(config, typed)
    if not values:
        return config
    terminal.say(f"sampler: a pilot run finds the replicas{own_values(values, typed)}")
    changed = copy.deepcopy(config)
    changed["sampler"]["kernel"] = suitable_kernel(config, typed)
    for key, value in values.items():
        if key not in typed:
            *groups_of_key, name = key.split(".")
            functools.reduce(dict.__getitem__, groups_of_key, changed)[name] = value
    run.write_config(changed)
    return changed


def suitable_values(config: Config, typed: set[str]) -> dict[str, Any]:
    """Return values for the numbers of chains and steps; none if a number that they follow is wrong.

    The components report a wrong number by the name of its key.
    """
    objective, start = config["objective"], config.get("start") or {}
    own = objective.get("chains") or config["trainer"]["batch_size"]
    # Chains that mix are about independent, so that a gradient needs fewer of them.
    is_fixed = "objective.chains" in typed or "chains" not in objective
    chains = own if is_fixed else max(1, own // 2)
    if "start.size" in typed and not is_fixed and isinstance(start.get("size"), int):
        chains = min(chains, start["size"])
    if not isinstance(chains, int) or chains < 1:
        return {}
    values: dict[str, Any] = {"objective.steps": 1} | ({} if is_fixed else {"objective.chains": chains})
    return values | ({"start.size": chains, "start.restart": 0.0} if start.get("_target_") == REPLAY else {})


def suitable_kernel(config: Config, typed: set[str]) -> Config:
    """Return the node of the path's kernel with its keys that are on the line; a kernel chosen there stays."""
    given, node = config["sampler"]["kernel"], node_of(KERNELS[config["path"]["_target_"]])
    own = {key.removeprefix("sampler.kernel.") for key in typed if key.startswith("sampler.kernel")}
    return node | {key: given[key] for key in own} if own <= set(node) else given


def own_values(values: dict[str, Any], typed: set[str]) -> str:
    """Describe the values of keys that are not on the line, for the end of a message."""
    return "".join(f", {key} {value}" for key, value in values.items() if key not in typed)


def finds_places(config: Config) -> bool:
    """Return True if chains of training move along a path from exact draws whose places are automatic."""
    path = config.get("path") or {}
    is_along = (config.get("sampler") or {}).get("_target_") == TEMPERING and path.get("_target_") in KERNELS
    return is_along and path.get("betas") == "auto" and "steps" in (config.get("objective") or {})
