"""All the parts of a run, built and checked together; and a run opened again from its folder."""

import inspect
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ebm_cli import check, machine, rng
from ebm_cli.build import Config, Gather, locate, make
from ebm_cli.check import InputError
from ebm_cli.composition import Part, notes_of
from ebm_cli.data import Data
from ebm_cli.engine import choose
from ebm_cli.objective import Objective, check_together
from ebm_cli.optimizer import OptimizerRecipe
from ebm_cli.partition.trained import log_z_of
from ebm_cli.regularizer import Regularizer
from ebm_cli.run import Run
from ebm_cli.sampler import Kernel, Sampler
from ebm_cli.start import Start
from ebm_cli.state import energy_weights
from ebm_cli.trial import try_energy


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

    @property
    def notes(self) -> list[str]:
        """What the energy has to say of how it was put together."""
        return notes_of(self.energy)


def assemble(config: Config) -> Parts:
    """All the parts that `config` names, checked together.

    Layers are initialised from the run's seed. The energy is tried on a few rows (`trial`). Call it
    inside `machine.resolve(...).used()`.
    """
    gather = Gather()
    place = machine.resolve(config["device"], config["dtype"], config["threads"])
    # torch's device context makes every later call slower, so it holds while parts are built and no longer.
    with torch.device(place.device):
        return _parts(config, place, gather)


def _parts(config: Config, place: machine.Machine, gather: Gather) -> Parts:
    gather.attempt("", lambda: check.count("seed", config["seed"], least=0))
    seed = config["seed"] if isinstance(config["seed"], int) else 0
    data: Data | None = gather.attempt("data", lambda: make(config["data"])) if config.get("data") else None
    event = gather.attempt("", lambda: _given_event(config, data))
    sampler = gather.attempt("sampler", lambda: make(config["sampler"]))
    energy: nn.Module | None = None
    # Without the data that it names a run has no shape; saying so as well would hide what is wrong.
    if data is not None or not config.get("data"):
        with rng.seeded_layers(seed, "energy"):
            energy = gather.attempt("energy", lambda: _energy(config, event, data))
    if energy is not None:
        event = gather.attempt("energy", lambda: _agreed_event(energy, event))
    given = config.get("engine", "eager")
    # Of a sampler that cannot be built nothing more is said.
    fixed = sampler is None or issubclass(type(sampler), Kernel)
    engine = gather.attempt("", lambda: choose(given, place.device, fixed, steps=0))
    offered: dict[str, Any] = {"event": event, "data": data, "sampler": sampler, "engine": engine, "energy": energy}
    built: dict[str, Any] = {}
    with rng.seeded_layers(seed, "objective"):
        for group in ("start", "optimizer", "objective"):
            # Without a shape or a sampler most of these cannot be built, for reasons that are told already.
            if config.get(group) and event is not None and sampler is not None:
                built[group] = gather.attempt(group, lambda group=group: make(config[group], **offered, **built))
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
        own = run.config()
        lacks = [key for key in ("seed", "energy", "sampler") if not isinstance(own.get(key), dict | int)]
        if own["made"].get("verb") != "train" or lacks:
            raise InputError(f"it is no run of ebm train{f': its config.yaml lacks {lacks[0]}' if lacks else ''}")
        parts = assemble(own | {key: config[key] for key in ("device", "dtype", "threads")} | alone)
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


def load_weights(energy: nn.Module, run: Run, checkpoint: str, weights: str) -> None:
    """Put a training run's weights into `energy`: weights is averaged (raw where the run kept none) or raw."""
    check.one_of("weights", weights, ["averaged", "raw"])
    folder = run.checkpoint(checkpoint)
    tensors = energy_weights(folder, weights)
    try:
        energy.load_state_dict(tensors)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise InputError(f"the weights of {folder} do not fit this energy: {detail[:300]}") from None


class Loaded:
    """A run opened from its folder: its configuration, and its energy with the weights that it ended on."""

    def __init__(self, run: Run, config: Config, checkpoint: str, weights: str) -> None:
        self.run = run
        self.config = config
        self.checkpoint = checkpoint
        self.weights = weights

    @cached_property
    def parts(self) -> Parts:
        """The run's parts, the energy's weights in place."""
        place = machine.resolve(self.config["device"], self.config["dtype"], self.config["threads"])
        with place.used():
            parts = assemble(self.config)
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


def load_run(folder: str | Path, checkpoint: str = "last", weights: str = "averaged", device: str = "cpu") -> Loaded:
    """Open a training run from Python: `load_run("outputs/train/…").energy(x)`.

    checkpoint: last, best or a step. weights: averaged or raw. Raises InputError when the folder is no run or
    its checkpoint is damaged.
    """
    run = Run(Path(folder))
    config = run.config() | {"device": device}
    return Loaded(run, config, checkpoint, weights)
