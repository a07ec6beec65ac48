"""Open a training run: its energy with its weights, in the units of its data."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from ebm_cli import check
from ebm_cli.assembly.assemble import assemble
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.data_record import read_data_record
from ebm_cli.assembly.permission import Config, Permission, admit, permitted
from ebm_cli.assembly.trained_log_z import log_z_of
from ebm_cli.assembly.weights import load_weights
from ebm_cli.check import InputError
from ebm_cli.data import Data, DataRecord, FileData
from ebm_cli.estimate import Estimate
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import Machine, resolve
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampler import Sampler

# Groups that only training needs. A run is opened without them, because some of them need the training samples.
NOT_OPENED: Config = {"objective": None, "optimizer": None, "regularizer": None}


def assemble_trained(config: Config, machine: Machine, trained: Run | None, terminal: Terminal) -> Parts:
    """Return the components that `config` names, with the weights and the units of the run `trained`, if it is given.

    Raises InputError for weights or files that do not fit.

    config: a verb's configuration. Its keys `checkpoint` and `weights` choose the weights.
    """
    if trained is None:
        return assemble(config, machine)
    record = read_data_record(trained)
    parts = assemble(config, machine, record)
    check_units(config, trained, record, parts.data, terminal)
    load_weights(parts.energy, trained, str(config["checkpoint"]), config["weights"])
    return parts


def check_units(config: Config, trained: Run, record: DataRecord | None, data: Data | None, say: Terminal) -> None:
    """Warn that a run of an older format does not store the units of its data. Raises InputError for another file.

    Another file would be scaled by its own values, and its units would not be the units of the model.
    """
    if record is not None or not isinstance(data, FileData):
        return
    own, node = trained.config().get("data") or {}, config["data"]
    if node.get("_target_") != own.get("_target_"):
        return
    old = f"run={trained.folder} keeps no units of its data, because an older ebm made it"
    if node.get("path") != own.get("path"):
        raise InputError(f"{old}: it cannot read data.path={node.get('path')}; train it again to use other files")
    say.say(f"warning: {old}; they are taken from {own.get('path')} as it is now")


# The defaults of `ebm evaluate` for log Z: number of gradients, and the bracket's width in nats at which it stops.
LOG_Z_BUDGET = 3_000_000
LOG_Z_TARGET = 0.5


class Loaded:
    """A training run that was opened from its folder: its configuration, and its energy with trained weights."""

    def __init__(self, run: Run, config: Config, checkpoint: str, weights: str, permission: Permission) -> None:
        self.run = run
        self.permission = permission
        self.config = config
        self.checkpoint = checkpoint
        self.weights = weights

    @cached_property
    def parts(self) -> Parts:
        """Return the run's parts, with trained weights in the energy."""
        place = resolve(self.config["device"], self.config["dtype"], self.config["threads"])
        with place.activate(), permitted(self.permission):
            parts = assemble(self.config | NOT_OPENED, place, read_data_record(self.run))
            load_weights(parts.energy, self.run, self.checkpoint, self.weights)
        return parts

    @property
    def energy(self) -> nn.Module:
        """Return the energy, an nn.Module from (n, *event) to (n,)."""
        return self.parts.energy

    @property
    def sampler(self) -> Sampler:
        """Return the sampler of the run."""
        return self.parts.sampler

    @property
    def data(self) -> Data | None:
        """Return the data on which the run was trained."""
        return self.parts.data

    def encode(self, rows: Any) -> Tensor:
        """Return rows in the units of the run's file as states x of the model.

        Raises InputError if the run keeps no units, or for rows of another shape.

        rows: (n, columns) in the order of `data.columns`, texts for categories, or pictures (n, channels,
        height, width) of levels 0…255.
        """
        if not isinstance(self.data, FileData):
            raise check.InputError(f"run={self.run.folder} keeps no units of a file: its states need no encode")
        with self.parts.machine.activate():
            return self.data.encode(self.data.parse(np.asarray(rows))).to(self.parts.machine.device)

    def decode(self, x: Tensor) -> np.ndarray:
        """Return states x in the units of the run's data. Raises InputError if the run has no data."""
        if self.data is None:
            raise check.InputError(f"run={self.run.folder} has no data whose units states could be given in")
        return self.data.decode(x)

    @cached_property
    def log_z(self) -> Estimate:
        """Return log Z in nats at the run's temperature, estimated once with the defaults of `ebm evaluate`."""
        parts = self.parts
        with parts.machine.activate():
            T = parts.sampler.temperature
            return log_z_of(parts.energy, parts.event, parts.data, T, LOG_Z_BUDGET, LOG_Z_TARGET)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return log p(x) = −E(x)/T − log Z in nats, the density per unit of the model's coordinates x.

        To get the density per unit of the file, subtract `data.log_unit`. Raises InputError with the reason if log Z is
        refused; `log_z` has its bounds and its verdict.

        x: states (n, *event), for example from `encode`.
        """
        if not isinstance(self.log_z.value, float):
            raise check.InputError(f"log_prob needs log Z, which is refused: {self.log_z.reason}")
        return -self.energy(x) / self.parts.sampler.temperature - self.log_z.value


def load_run(
    folder: str | Path, checkpoint: str = "last", weights: str = "averaged", device: str = "cpu", trust: bool = False
) -> Loaded:
    """Open a training run from Python: `load_run("outputs/train/…").energy(x)`.

    Raises InputError if the folder is not a run, if it names classes outside this package that may not be imported, or
    if its checkpoint is damaged.

    checkpoint: last, best or a step.
    weights: averaged or raw.
    device: cpu, cuda or cuda:N.
    trust: True to import classes outside this package from a run that someone else made.
    """
    run = Run(Path(folder))
    config = run.whole_config() | {"device": device}
    retry = f"load_run({str(folder)!r}, trust=True)"
    with permitted(Permission(trust=trust, retry=retry)):
        permission = admit(run, config)
    return Loaded(run, config, checkpoint, weights, permission)
