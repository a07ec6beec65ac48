"""Which parts of a run work on its states: energy and data declare their space, other parts the spaces they work on."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ebm_cli import check
from ebm_cli.assembly.build import locate
from ebm_cli.assembly.permission import Config
from ebm_cli.chain.screening import join_names
from ebm_cli.check import InputError, Problems
from ebm_cli.energy import SPACES, space_of, works_on
from ebm_cli.run import shipped
from ebm_cli.sampler.tempering import Tempering

Part = TypeVar("Part")


def check_spaces(parts: Mapping[str, Any], nodes: Mapping[str, Config]) -> None:
    """Raise InputError with every part that does not work on the states of the energy, and the options that do.

    parts: what was built, by group, or by GROUP.NAME in a list group. nodes: their nodes in the configuration.
    """
    problems, space = Problems(), space_of(parts["energy"])
    check.one_of("energy.space", space, SPACES)
    own = shipped.option_or_class(nodes["energy"])
    if "data" in parts and (other := space_of(parts["data"])) != space:
        data = shipped.option_or_class(nodes["data"])
        problems.messages.append(f"data={data} has {other} rows; energy={own} has {space} states")
    for name, part in parts.items():
        group, node = name.partition(".")[0], nodes[name]
        if name == "sampler" and isinstance(part, Tempering):
            # Replicas work wherever their kernel does.
            name, part, node = "sampler.kernel", part.kernel, node["kernel"]
        if not works_on(part, space):
            message = misfit(name if group == "sampler" else group, shipped.option_or_class(node), part, space, own)
            fit = options_that_fit(group, space) if name != "sampler.kernel" else kernels_that_fit(space)
            problems.messages.append(f"{message}. {fit}")
    problems.finish()


def parts_that_fit(
    group: str, parts: Mapping[str, Part], config: Config, energy: object, say: Callable[[str], None]
) -> dict[str, Part]:
    """Return the metrics or diagnostics that work on the states of the energy; name those that are left out.

    config: names the energy, and what was typed. Raises InputError with those that do not fit if they were typed, or
    if none is left.
    """
    space = space_of(energy)
    own = shipped.option_or_class(config["energy"])
    fit = {name: part for name, part in parts.items() if works_on(part, space)}
    wrong = [misfit(group, name, part, space, own) for name, part in parts.items() if name not in fit]
    if wrong and (group in config["made"]["chosen"] or not fit):
        raise InputError(*(f"{message}. {options_that_fit(group, space)}" for message in wrong))
    for message in wrong:
        say(f"left out: {message}")
    return fit


def misfit(group: str, name: str, part: Any, space: str, energy: str) -> str:
    """Return that a part does not work on states of this space."""
    return f"{group}={name} works on {join_names(sorted(part.spaces))} states; energy={energy} has {space} states"


def options_that_fit(group: str, space: str) -> str:
    """Return which options of a group work on this space."""
    fit = [path.stem for target, path in shipped.yaml_files()[group].items() if works_on(locate(target), space)]
    if not fit:
        return f"No {group} of ebm fits: type {group}=custom {group}._target_=MODULE.CLASS"
    return f"{group.capitalize()}s that fit: {', '.join(fit)}"


def kernels_that_fit(space: str) -> str:
    """Return which samplers can move replicas on this space."""
    options = {path.stem: target for target, path in shipped.yaml_files()["sampler"].items()}
    fit = [name for name in shipped.KERNELS if works_on(locate(options[name]), space)]
    return f"Kernels that fit: {', '.join(fit)}"
