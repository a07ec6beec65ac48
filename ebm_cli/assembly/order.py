"""The order in which the groups of a configuration are built: each after the groups that its constructor asks for."""

from graphlib import CycleError, TopologicalSorter

from ebm_cli.assembly.build import asks
from ebm_cli.assembly.permission import Config
from ebm_cli.check import InputError

GROUPS = ("data", "path", "sampler", "energy", "start", "optimizer", "objective")


def build_order(nodes: dict[str, Config]) -> list[str]:
    """Return the names of nodes in an order in which each comes after those that it needs.

    Raises InputError if two ask for each other.
    """
    before = {name: {group for group in providers(name, nodes) if group in nodes} for name in nodes}
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as error:
        raise InputError(f"{' and '.join(dict.fromkeys(error.args[1]))} ask for each other") from None


def providers(name: str, nodes: dict[str, Config]) -> set[str]:
    """Return the groups that a node needs. The shape of a state is known only after the energy is built."""
    asked = asks(nodes[name])
    found = asked & set(GROUPS)
    if "event" in asked or name == "energy":
        found |= {"data"} if name in ("energy", "sampler") else {"data", "energy"}
    if "engine" in asked:
        found.add("sampler")
    if follows_energy(name, nodes):
        found.add("energy")
    return found - {name}


def follows_energy(name: str, nodes: dict[str, Config]) -> bool:
    """Return True if a default of this name may be replaced by one that works on the energy's states."""
    if name.partition(".")[0] not in ("sampler", "regularizer") or "energy" not in nodes:
        return False
    return not asks(nodes["energy"]) & {"sampler", "start", "objective"}
