"""Build all components of a run in one pass, each after the components that its constructor needs, and check them."""

from contextlib import suppress
from typing import Any

import torch
from torch import nn

from ebm_cli import check, rng
from ebm_cli.assembly.build import INJECTED, asks, make, parameters_of, with_role
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.composition import trained_parts
from ebm_cli.assembly.order import GROUPS, build_order, follows_energy
from ebm_cli.assembly.permission import Config
from ebm_cli.assembly.space_defaults import fitted, typed_keys
from ebm_cli.assembly.spaces import check_spaces
from ebm_cli.assembly.trial import try_energy
from ebm_cli.chain.engine import resolve_engine
from ebm_cli.check import InputError
from ebm_cli.data import DataRecord
from ebm_cli.energy import NO_EVENT
from ebm_cli.energy._capabilities import HiddenUnits, offers
from ebm_cli.energy._composition import TrainedComponent
from ebm_cli.objective import Objective, check_compatible
from ebm_cli.run import shipped
from ebm_cli.run.machine import Machine, default_device
from ebm_cli.run.sampled import SampledRun
from ebm_cli.sampler import compilable_kernel

# The methods that make an object one of its group.
METHODS = {
    "data": ("sample", "split", "decode"),
    "path": ("annealing_path",),
    "sampler": ("init", "step"),
    "start": ("draw",),
    "objective": ("__call__",),
    "optimizer": ("build", "schedule"),
}


def assemble(config: Config, machine: Machine, record: DataRecord | None = None) -> Parts:
    """Return all components that `config` names, checked together.

    record: the data record of a trained run, for data that are read from a user's file.

    Layers are initialized from the run's seed. The energy is tried on a few states (see `trial`). Call this function
    inside `machine.activate()`. Raises InputError with all that is wrong.
    """
    assembly = Assembly(config, machine, record)
    with default_device(machine.device):
        assembly.build()
        assembly.check_together()
    assembly.problems.finish()
    return assembly.components()


class Assembly:
    """One pass over the groups. A group is built after everything that its constructor asks for.

    injected: the objects that constructors may ask for, by name.
    failed: names of objects that could not be built. A group that asks for any of them is not built, because the reason
        is reported already.
    """

    def __init__(self, config: Config, machine: Machine, record: DataRecord | None) -> None:
        self.config = config
        self.machine = machine
        self.problems = check.Problems()
        with self.problems.under():
            check.count("seed", config["seed"], minimum=0)
        self.seed = config["seed"] if isinstance(config["seed"], int) else 0
        self.nodes: dict[str, Config] = {group: config[group] for group in GROUPS if config.get(group)}
        self.nodes |= {f"regularizer.{name}": node for name, node in (config.get("regularizer") or {}).items()}
        self.built: dict[str, Any] = {}
        self.chosen = typed_keys(config)
        self.replaced: dict[str, Config] = {}
        self.notes: list[str] = []
        self.failed: set[str] = set()
        same = record is not None and record.target == (config.get("data") or {}).get("_target_")
        # A constructor that asks for a component that the configuration leaves out gets None.
        self.injected: dict[str, Any] = dict.fromkeys(INJECTED) | {"record": record if same else None}
        self.injected["run"] = SampledRun.from_config(config)
        if "energy" not in self.nodes:
            self.problems.messages.append("energy must be chosen: energy=NAME or run=RUN")
            self.failed |= {"energy", "event"}

    def build(self) -> None:
        """Build every group, each after the groups that it needs."""
        if "data" not in self.nodes:
            self.find_event()
        for name in build_order(self.nodes):
            with (
                self.problems.under(name, unprefixed=set(INJECTED) - set(self.nodes[name])),
                rng.seeded_layers(self.seed, self.stream(name)),
            ):
                self.fit_to_space(name)
                if name in self.nodes and not self.asks_for_failed(name):
                    self.built[name] = self.made(name)
            if name not in self.nodes:
                continue
            if name not in self.built:
                self.failed.add(name)
            if name in INJECTED:
                self.injected[name] = self.built.get(name)
            if name == "data":
                self.find_event()
            if name == "sampler":
                self.choose_engine()
            if name == "energy":
                self.agree_on_event()
        self.set_temperature()

    def fit_to_space(self, name: str) -> None:
        """Replace a sampler, or leave out a regularizer, that the line did not choose and that does not work here."""
        energy = self.built.get("energy")
        if energy is None or not follows_energy(name, self.nodes):
            return
        # A class that cannot be imported is reported when it is built.
        with suppress(InputError):
            found = fitted(name, self.nodes[name], energy, shipped.option_or_class(self.nodes["energy"]), self.chosen)
            if found is None:
                return
            self.notes.append(found.note)
            if found.node is not None:
                self.nodes[name] = self.replaced[name] = found.node
            else:
                del self.nodes[name]
                kept = [key for key in self.nodes if key.startswith("regularizer.")]
                self.replaced["regularizer"] = {key.removeprefix("regularizer."): self.nodes[key] for key in kept}

    def stream(self, name: str) -> str:
        """Return the name of the stream of random numbers that initializes a group's layers."""
        return "energy" if name == "energy" else "objective"

    def asks_for_failed(self, name: str) -> bool:
        """Return True if a group asks for something that could not be built."""
        needs_shape = name == "energy" and "data" in self.failed
        return needs_shape or bool(asks(self.nodes[name]) & self.failed)

    def made(self, name: str) -> Any:
        """Build one group, and check that the object has the methods of its group."""
        node = self.nodes[name]
        if name == "energy":
            return energy_of(node, self.config, **self.injected)
        built = make(node, **self.injected)
        return with_role(name, built, METHODS[name]) if name in METHODS else built

    def find_event(self) -> None:
        """Take the shape of one state from the key `event` or from the data, if they give it."""
        given, data = self.config.get("event"), self.injected.get("data")
        known = None if data is None else tuple(data.event)
        if given is not None:
            sizes = given if isinstance(given, list) else [given]
            with self.problems.under():
                for size in sizes:
                    check.count("event", size)
                if known is not None and tuple(sizes) != known:
                    raise InputError(f"event={given} does not fit the data: their samples have shape {list(known)}")
                known = tuple(sizes)
            if known is None:
                self.failed.add("event")
        self.injected["event"] = known

    def agree_on_event(self) -> None:
        """Take the shape of one state from the energy, if it fixes the shape. Data and `event` must give the same."""
        energy, event = self.built.get("energy"), self.injected["event"]
        if energy is None:
            self.failed.add("event")
            return
        fixed = getattr(energy, "event", None)
        own = tuple(fixed) if isinstance(fixed, list | tuple) else event
        with self.problems.under("energy", unprefixed=INJECTED):
            if own is None:
                raise InputError(NO_EVENT)
            if event is not None and own != event:
                raise InputError(f"event is {list(own)}, but data or event= give {list(event)}")
        self.injected["event"] = own

    def set_temperature(self) -> None:
        """Set the temperature at which hidden units are summed over to that of the sampler."""
        energy, sampler = self.built.get("energy"), self.built.get("sampler")
        if energy is not None and sampler is not None and offers(energy, HiddenUnits):
            energy.set_temperature(sampler.temperature)

    def choose_engine(self) -> None:
        """Choose the engine that executes steps. A sampler that could not be built causes no second error here."""
        sampler, energy = self.built.get("sampler"), self.built.get("energy")
        fixed = sampler is None or energy is None or compilable_kernel(sampler, energy) is not None
        # `auto` was resolved by the class of the sampler in the configuration. What that is made of, or what took its
        # place, may have no fixed steps.
        wanted = self.config.get("engine", "eager") if fixed or "engine" in self.chosen else "eager"
        self.injected["engine"] = "eager"
        with self.problems.under():
            self.injected["engine"] = resolve_engine(wanted, self.machine.device, fixed, steps=0)

    def check_together(self) -> None:
        """Check what each part works on, try the energy on a few rows, and let the objective check its companions."""
        energy, event, objective = self.built.get("energy"), self.injected.get("event"), self.built.get("objective")
        if self.problems.messages or energy is None or event is None:
            return
        with self.problems.under():
            check_spaces(self.built, self.nodes)
        with self.problems.under("energy"):
            try_energy(energy, event, needs_gradient=not self.config.get("metric"))
        if isinstance(objective, Objective) and not self.problems.messages:
            with self.problems.under():
                check_compatible(objective, energy, event, self.regularizers().items())

    def regularizers(self) -> dict[str, Any]:
        """Return the regularizers by the names of their nodes."""
        prefix = "regularizer."
        return {name.removeprefix(prefix): part for name, part in self.built.items() if name.startswith(prefix)}

    def components(self) -> Parts:
        """Return what was built."""
        groups = {group: self.built.get(group) for group in GROUPS if group != "path"}
        shared = {name: self.injected[name] for name in ("event", "engine")}
        return Parts(
            machine=self.machine,
            regularizers=self.regularizers(),
            replaced=self.replaced,
            assembly_notes=tuple(self.notes),
            **groups,
            **shared,
        )


def energy_of(node: Config, config: Config, **injected: Any) -> nn.Module:
    """Build the energy. If its constructor has a parameter `runs: list[TrainedComponent]`, it gets these energies."""
    wanted = parameters_of(node).get("event")
    if wanted is not None and injected["event"] is None and "None" not in str(wanted.annotation):
        raise InputError(NO_EVENT)
    runs = parameters_of(node).get("runs")
    if runs is not None and TrainedComponent.__name__ in str(runs.annotation):
        node = node | {"runs": trained_parts(node.get("runs"), config, assemble)}
    energy = make(node, **injected)
    if not isinstance(energy, nn.Module) or type(energy).forward is nn.Module.forward:
        raise InputError(f"_target_={node['_target_']} must be a torch.nn.Module with a forward method")
    if not hasattr(energy, "_modules"):
        raise InputError(f"_target_={node['_target_']} never calls super().__init__(): call it first in its __init__")
    # A user's own class may have made tensors on another device. Convolutions are faster with channels last.
    energy = energy.to(device=torch.get_default_device(), dtype=torch.get_default_dtype())
    return energy.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
