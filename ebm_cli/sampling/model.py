"""The model of a verb: a run's parts with their trained weights."""

from collections.abc import Callable
from typing import TypeVar

from ebm_cli.assembly.build import Config, together
from ebm_cli.assembly.data_record import read_data_record
from ebm_cli.assembly.parts import Parts, assemble, check_units, load_weights
from ebm_cli.run.folder import Run
from ebm_cli.run.terminal import Terminal

T = TypeVar("T")


def open_model(config: Config, trained: Run | None, terminal: Terminal, build: Callable[[], T]) -> tuple[Parts, T]:
    """Return the parts that `config` names with the weights of the training run, if any, and what `build` returns.

    Raises InputError with everything that is wrong in both.
    """
    record = None if trained is None else read_data_record(trained)
    built, parts = together(_built=build, _parts=lambda: assemble(config, record))
    if trained is not None:
        check_units(config, trained, record, parts.data, terminal)
        load_weights(parts.energy, trained, config["checkpoint"], config["weights"])
    for note in parts.notes:
        terminal.say(note)
    return parts, built
