"""The model of a verb: a run's parts with their trained weights."""

from collections.abc import Callable
from typing import TypeVar

from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.assembly.trained_run import assemble_trained
from ebm_cli.check import Problems
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import Machine
from ebm_cli.run.terminal import Terminal

T = TypeVar("T")


def open_model(
    config: Config, machine: Machine, trained: Run | None, terminal: Terminal, build: Callable[[], T]
) -> tuple[Parts, T]:
    """Return the parts that `config` names, with the weights of the training run, if any, and the result of `build`.

    Raises InputError with everything that is wrong in both.
    """
    problems = Problems()
    with problems.under():
        built = build()
    with problems.under():
        parts = assemble_trained(config, machine, trained, terminal)
    problems.finish()
    for note in parts.notes:
        terminal.say(note)
    return parts, built
