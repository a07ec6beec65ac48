"""All the parts of a run, built and checked together; and a run opened again from its folder."""

import inspect
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ebm_cli import check, rng
from ebm_cli.assembly.build import Config, Gather, Permission, admit, asks, locate, make, permitted, with_role
from ebm_cli.assembly.data_record import read_data_record
from ebm_cli.assembly.trained import log_z_of
from ebm_cli.assembly.trial import try_energy
from ebm_cli.chain.engine import choose
from ebm_cli.check import InputError
from ebm_cli.data import Data, DataRecord, HasRecord, HasUnits
from ebm_cli.energy._composition import Part, notes_of
from ebm_cli.estimate import Estimate
from ebm_cli.objective import Objective, check_together
from ebm_cli.optimizer import OptimizerRecipe
from ebm_cli.regularizer import Regularizer
from ebm_cli.run import machine
from ebm_cli.run.checkpoint import energy_weights, misfit
from ebm_cli.run.folder import Run
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampler import CompilableKernel, Sampler
from ebm_cli.start import Start


@dataclass(frozen=True)
class Parts:
    """What a run is made of; None for a group that its configuration leaves out."""

    machine: machine.Machine
    event: tuple[int, ...]
    energy: nn.Module
    data: Data | None
    sampler: Sampler
    start: Start | None
    objective: Objective | None
    regularizers: dict[str, Regularizer]
    optimizer: OptimizerRecipe | None
    engine: str

    def with_sampler(self, sampler: Sampler) -> "Parts":
        """The same parts with another sampler, which objective and regularizers share from now on."""
        holders = [*(() if self.objective is None else self.objective.modules()), *self.regularizers.values()]
        for part in holders:
            if "sampler" in getattr(part, "__dict__", {}):
                vars(part)["sampler"] = sampler
        return replace(self, sampler=sampler)

    @property
    def has_chains(self) -> bool:
        """Whether the objective moves chains of the model, be it after its first steps only."""
        return self.objective is not None and any("sampler" in vars(part) for part in self.objective.modules())

    def set_chain_steps(self, steps: int) -> None:
        """Let chains of the objective make this many kernel steps per training step."""
        for part in () if self.objective is None else self.objective.modules():
            if "sampler" in vars(part) and "steps" in vars(part):
                vars(part)["steps"] = steps

    @property
    def notes(self) -> list[str]:
        """What data and energy have to say of how they were put together."""
        return [note for part in (self.data, self.energy) for note in notes_of(part)]


def assemble(config: Config, record: DataRecord | None = None) -> Parts:
    """All the parts that `config` names, checked together.

    record: what a trained run keeps of its data, for a set that is read from a user's file.

    Layers are initialised from the run's seed. The energy is tried on a few rows (`trial`). Call it
    inside `machine.resolve(...).used()`.
    """
    gather = Gather()
    place = machine.resolve(config["device"], config["dtype"], config["threads"])
    # torch's device context makes every later call slower, so it holds while parts are built and no longer.
    with torch.device(place.device):
        return _parts(config, place, gather, record)


def _parts(config: Config, place: machine.Machine, gather: Gather, record: DataRecord | None) -> Parts:
    gather.attempt("", lambda: check.count("seed", config["seed"], least=0))
    seed = config["seed"] if isinstance(config["seed"], int) else 0
    data: Data | None = gather.attempt("data", lambda: _data(config, record)) if config.get("data") else None
    event = gather.attempt("", lambda: _given_event(config, data))
    # Beside a wrong event its data still have a shape; without data nothing more is said of shapes.
    event_is_wrong = event is None and config.get("event") is not None
    if event_is_wrong and data is not None:
        event = tuple(data.event)
    sampler = gather.attempt("sampler", lambda: part_of(config, "sampler"))
    energy: nn.Module | None = None
    # Without the data that it names a run has no shape; saying so as well would hide what is wrong.
    if data is not None or not (config.get("data") or event_is_wrong):
        with rng.seeded_layers(seed, "energy"):
            energy = gather.attempt("energy", lambda: _energy(config, event, data))
    if energy is not None:
        event = gather.attempt("energy", lambda: _agreed_event(energy, event))
    given = config.get("engine", "eager")
    # Of a sampler that cannot be built nothing more is said.
    fixed = sampler is None or issubclass(type(sampler), CompilableKernel)
    engine = gather.attempt("", lambda: choose(given, place.device, fixed, steps=0))
    offered: dict[str, Any] = {"event": event, "data": data, "sampler": sampler, "engine": engine, "energy": energy}
    built: dict[str, Any] = {}
    with rng.seeded_layers(seed, "objective"):
        for group in ("start", "optimizer", "objective"):
            # What asks for a part that could not be built is not tried: the reason is told already.
            lacking = {name for name, part in (offered | built).items() if part is None and wanted(config, name)}
            if config.get(group):
                built[group] = None
                if not asks(config[group]) & lacking:
                    built[group] = gather.attempt(
                        group, lambda group=group: part_of(config, group, **(offered | built))
                    )
    regularizers = {
        name: gather.attempt(f"regularizer.{name}", lambda node=node: make(node, **offered))
        for name, node in (config.get("regularizer") or {}).items()
        if not gather.messages
    }
    if energy is not None and event is not None and not gather.messages:
        gather.attempt("energy", lambda: try_energy(energy, event, needs_gradient=not config.get("metric")))
        objective = built.get("objective")
        if isinstance(objective, Objective) and not gather.messages:
            gather.attempt("", partial(check_together, objective, energy, event, regularizers.items()))
    gather.finish()
    assert energy is not None and event is not None and sampler is not None
    start, objective, optimizer = (built.get(group) for group in ("start", "objective", "optimizer"))
    return Parts(place, event, energy, data, sampler, start, objective, regularizers, optimizer, engine)


# The methods that make an object one of its group.
METHODS = {
    "data": ("sample", "split", "decode"),
    "sampler": ("init", "step"),
    "start": ("draw",),
    "objective": ("__call__",),
    "optimizer": ("build", "schedule"),
}


def part_of(config: Config, group: str, **offered: Any) -> Any:
    """The object of one group, with the methods that its group has."""
    return with_role(group, make(config[group], **offered), METHODS[group])


def _data(config: Config, record: DataRecord | None) -> Data:
    """The data set, with the record that a run keeps of it if it is of the same class."""
    same = record is not None and record.target == config["data"].get("_target_")
    return part_of(config, "data", record=record if same else None)


def wanted(config: Config, name: str) -> bool:
    """Whether a run has this part at all: one without data has none to offer, which is no mistake."""
    return name in ("event", "engine") or bool(config.get(name))


def _given_event(config: Config, data: Data | None) -> tuple[int, ...] | None:
    """The shape of one state where data or the `event` key say it."""
    given = config.get("event")
    if given is not None:
        sizes = given if isinstance(given, list) else [given]
        for size in sizes:
            check.count("event", size)
        if data is not None and tuple(sizes) != tuple(data.event):
            raise InputError(f"event={given} does not fit the data, whose rows are {list(data.event)}")
        return tuple(sizes)
    return tuple(data.event) if data is not None else None


def _energy(config: Config, event: tuple[int, ...] | None, data: Data | None) -> nn.Module:
    if not config.get("energy"):
        raise InputError("energy must be chosen: energy=NAME or run=RUN")
    _needs_event(config["energy"], event)
    node = config["energy"]
    if _asks_for_parts(node):
        node = node | {"runs": _opened(node.get("runs"), config)}
    energy = make(node, event=event, data=data)
    if not isinstance(energy, nn.Module) or type(energy).forward is nn.Module.forward:
        raise InputError(f"_target_={config['energy']['_target_']} must be a torch.nn.Module with a forward method")
    if not hasattr(energy, "_modules"):
        raise InputError(
            f"_target_={config['energy']['_target_']} never calls super().__init__(): let its __init__ begin with that"
        )
    # A user's own tensors may have been made elsewhere. Convolutions are faster over channels that lie together.
    energy = energy.to(device=torch.get_default_device(), dtype=torch.get_default_dtype())
    return energy.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def _needs_event(node: Config, event: tuple[int, ...] | None) -> None:
    """Raise InputError for a class that asks for a shape when none is known."""
    target = node.get("_target_")
    wanted = inspect.signature(locate(target)).parameters.get("event") if target not in (None, "???") else None
    if wanted is not None and event is None and "None" not in str(wanted.annotation):
        raise InputError("event is not known: give a shape such as 'event=[2]', or data")


def _asks_for_parts(node: Config) -> bool:
    """Whether the class has a parameter `runs: list[Part]`: then it is given what the listed folders hold."""
    target = node.get("_target_")
    wanted = inspect.signature(locate(target)).parameters.get("runs") if target not in (None, "???") else None
    return wanted is not None and Part.__name__ in str(wanted.annotation)


def _opened(names: Any, config: Config) -> list[Part]:
    """The trained energies in these folders, in the composed run's number type and on its device."""
    if not isinstance(names, list):
        raise InputError(f"runs must be a list of training runs' folders, '[A,B]', got {names!r}")
    gather = Gather()
    parts = [gather.attempt("", lambda name=str(name): _part(name, config)) for name in names]
    gather.finish()
    return parts


def _part(name: str, config: Config) -> Part:
    run = Run(Path(name).expanduser())
    # Where the verb has a run of its own, its keys checkpoint and weights are that one's.
    keys = {} if config.get("run") else config
    alone = {"start": None, "objective": None, "optimizer": None, "regularizer": None, "engine": "eager"}
    try:
        own = run.whole_config()
        if own["made"].get("verb") != "train":
            raise InputError("it is no run of ebm train")
        own |= {key: config[key] for key in ("device", "dtype", "threads")} | alone
        with permitted(admit(run, own, part=True)):
            parts = assemble(own, read_data_record(run))
        load_weights(parts.energy, run, str(keys.get("checkpoint", "last")), keys.get("weights", "averaged"))
    except InputError as error:
        raise InputError(*(f"runs cannot have {name}: {message}" for message in error.messages)) from None
    log_z = partial(log_z_of, parts.energy, parts.event, parts.data)
    return Part(name, parts.energy, parts.event, parts.sampler.temperature, log_z)


def _agreed_event(energy: nn.Module, event: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape of one state, from the energy where it fixes one, checked against what data or `event` say."""
    fixed = getattr(energy, "event", None)
    own = tuple(fixed) if isinstance(fixed, list | tuple) else event
    if own is None:
        raise InputError("event is not known: give a shape such as 'event=[2]', or data")
    if event is not None and own != event:
        raise InputError(f"event is {list(own)}, but data or event= give {list(event)}")
    return own


def load_weights(energy: nn.Module, run: Run, checkpoint: str | int, weights: str) -> None:
    """Put a training run's weights into `energy`: weights is averaged (raw where the run kept none) or raw."""
    check.one_of("weights", weights, ["averaged", "raw"])
    folder = run.checkpoint(checkpoint)
    tensors = energy_weights(folder, weights)
    problem = misfit(energy, tensors)
    if problem:
        raise InputError(f"energy does not fit the weights of {folder}: {problem}")
    energy.load_state_dict(tensors)


# What only training needs: a run is opened without, as some of it is made from training rows.
NOT_OPENED: Config = {"objective": None, "optimizer": None, "regularizer": None}


def check_units(config: Config, trained: Run, record: DataRecord | None, data: Data | None, say: Terminal) -> None:
    """Warn that a run of an older format keeps no units of its data; InputError if another file is named for it.

    Such a file would be scaled by its own values, which are not the model's units.
    """
    if record is not None or not isinstance(data, HasRecord):
        return
    own, node = trained.config().get("data") or {}, config["data"]
    if node.get("_target_") != own.get("_target_"):
        return
    old = f"run={trained.folder} keeps no units of its data, as an older ebm made it"
    if node.get("path") != own.get("path"):
        raise InputError(f"{old}: it cannot read data.path={node.get('path')}; train it again to use other files")
    say.say(f"warning: {old}; they are taken from {own.get('path')} as it is now")


# What `ebm evaluate` spends on log Z, in gradients, and the width in nats at which it stops.
LOG_Z_BUDGET, LOG_Z_TARGET = 3_000_000, 0.5


class Loaded:
    """A run opened from its folder: its configuration, and its energy with the weights that it ended on."""

    def __init__(self, run: Run, config: Config, checkpoint: str, weights: str, permission: Permission) -> None:
        self.run = run
        self.permission = permission
        self.config = config
        self.checkpoint = checkpoint
        self.weights = weights

    @cached_property
    def parts(self) -> Parts:
        """The run's parts, the energy's weights in place."""
        place = machine.resolve(self.config["device"], self.config["dtype"], self.config["threads"])
        with place.used(), permitted(self.permission):
            parts = assemble(self.config | NOT_OPENED, read_data_record(self.run))
            load_weights(parts.energy, self.run, self.checkpoint, self.weights)
        return parts

    @property
    def energy(self) -> nn.Module:
        """The energy, an nn.Module from (n, *event) to (n,)."""
        return self.parts.energy

    @property
    def sampler(self) -> Sampler:
        """The sampler that the run used."""
        return self.parts.sampler

    @property
    def data(self) -> Data | None:
        """The data that the run was trained on."""
        return self.parts.data

    def encode(self, rows: Any) -> Tensor:
        """Return rows in the units of the run's file as states x of the model.

        rows: (n, columns) in the order of `data.columns`, or pictures (n, channels, height, width) of levels 0…255.
        Raises InputError if the run keeps no units, or for rows of another shape.
        """
        if not isinstance(self.data, HasUnits):
            raise check.InputError(f"run={self.run.folder} keeps no units of a file: its states need no encode")
        rows = np.asarray(rows)
        if rows.shape[1:] != self.parts.event:
            raise check.InputError(f"rows must have shape (n, {str(self.parts.event)[1:-1]}), got {rows.shape}")
        with self.parts.machine.used():
            return self.data.encode(rows).to(self.parts.machine.device)

    def decode(self, x: Tensor) -> np.ndarray:
        """Return states x in the units of the run's data. Raises InputError if the run has no data."""
        if self.data is None:
            raise check.InputError(f"run={self.run.folder} has no data whose units states could be given in")
        return self.data.decode(x)

    @cached_property
    def log_z(self) -> Estimate:
        """log Z in nats at the run's temperature, estimated once with the defaults of `ebm evaluate`."""
        parts = self.parts
        with parts.machine.used():
            T = parts.sampler.temperature
            return log_z_of(parts.energy, parts.event, parts.data, T, LOG_Z_BUDGET, LOG_Z_TARGET)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x) = −E(x)/T − log Z in nats, the density per unit of the model's coordinates x.

        x: (n, *event), as `encode` gives it. The density per unit of the file is this less `data.log_unit`. Raises
        InputError with the reason if log Z is refused; `log_z` has its bounds and its verdict.
        """
        if not isinstance(self.log_z.value, float):
            raise check.InputError(f"log_prob needs log Z, which is refused: {self.log_z.reason}")
        return -self.energy(x) / self.parts.sampler.temperature - self.log_z.value


def load_run(
    folder: str | Path, checkpoint: str = "last", weights: str = "averaged", device: str = "cpu", trust: bool = False
) -> Loaded:
    """Open a training run from Python: `load_run("outputs/train/…").energy(x)`.

    checkpoint: last, best or a step. weights: averaged or raw. trust: whether classes that are not of this package may
    be imported though someone else made the run. Raises InputError when the folder is no run, names such classes, or
    its checkpoint is damaged.
    """
    run = Run(Path(folder))
    config = run.whole_config() | {"device": device}
    retry = f"load_run({str(folder)!r}, trust=True)"
    with permitted(Permission(trust=trust, retry=retry)):
        permission = admit(run, config)
    return Loaded(run, config, checkpoint, weights, permission)
