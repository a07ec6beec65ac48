"""Open the trained energies of which an energy is composed, each from its run's folder."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from ebm_cli import check
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.data_record import read_data_record
from ebm_cli.assembly.permission import Config, admit, permitted
from ebm_cli.assembly.trained_log_z import log_z_of
from ebm_cli.assembly.weights import load_weights
from ebm_cli.check import InputError
from ebm_cli.data import DataRecord
from ebm_cli.energy._composition import TrainedComponent
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import Machine, resolve

# The type of `assemble`. It is passed as an argument, because it calls this module.
Assemble = Callable[[Config, Machine, DataRecord | None], Parts]


def trained_parts(names: Any, config: Config, assemble: Assemble) -> list[TrainedComponent]:
    """Return the trained energies in these folders, in the composed run's number type and on its device."""
    if not isinstance(names, list):
        raise InputError(f"runs must be a list of training runs' folders, '[A,B]', got {names!r}")
    problems, parts = check.Problems(), []
    for name in names:
        with problems.under():
            parts.append(trained_part(str(name), config, assemble))
    problems.finish()
    return parts


def trained_part(name: str, config: Config, assemble: Assemble) -> TrainedComponent:
    """Return the trained energy in the folder of a run. Raises InputError with the folder's name if it is unusable."""
    run = Run(Path(name).expanduser())
    # If the verb has a run of its own, its keys checkpoint and weights belong to that run.
    keys = {} if config.get("run") else config
    alone = {"start": None, "objective": None, "optimizer": None, "regularizer": None, "engine": "eager"}
    try:
        own = run.whole_config()
        if own["made"].get("verb") != "train":
            raise InputError("it is not a run of ebm train")
        own |= {key: config[key] for key in ("device", "dtype", "threads")} | alone
        machine = resolve(own["device"], own["dtype"], own["threads"])
        with permitted(admit(run, own, part=True)):
            parts = assemble(own, machine, read_data_record(run))
        load_weights(parts.energy, run, str(keys.get("checkpoint", "last")), keys.get("weights", "averaged"))
    except InputError as error:
        raise InputError(*(f"runs cannot have {name}: {message}" for message in error.messages)) from None
    log_z = partial(log_z_of, parts.energy, parts.event, parts.data)
    return TrainedComponent(name, parts.energy, parts.event, parts.sampler.temperature, log_z)
