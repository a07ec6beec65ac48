"""`ebm train`: fit an energy to data. Read `train` top to bottom: it is the recipe."""

from ebm_cli import rng
from ebm_cli.assembly.assemble import assemble
from ebm_cli.assembly.build import construct
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.data_record import keep_data_record, record_for
from ebm_cli.assembly.permission import Config
from ebm_cli.assembly.weights import load_weights
from ebm_cli.estimate import Estimate
from ebm_cli.run.checkpoint import has_checkpoint
from ebm_cli.run.disk_use import disk_use
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import resolve
from ebm_cli.run.terminal import Terminal
from ebm_cli.training import rollback
from ebm_cli.training.announcements import say_policy, warn_of_decay, warn_of_restarts
from ebm_cli.training.loop import remove_old_checkpoints, train_steps
from ebm_cli.training.replica_defaults import with_replica_defaults
from ebm_cli.training.state import TrainState, check_trainable, first_state
from ebm_cli.training.step_size import fit_step_size
from ebm_cli.training.trainer import Trainer
from ebm_cli.training.training_log import TrainingLog


def train(config: Config, run: Run, terminal: Terminal, init: Run | None = None) -> dict[str, Estimate]:
    """Train what `config` names in the folder of `run`, from its last checkpoint if it has one, otherwise from step 0.

    init: a run to take the weights from. Raises Diverged at the first loss, energy or gradient that is not finite, with
    the last good checkpoint kept, unless a rollback is left; Stopped after a signal, with the step finished and saved.
    """
    machine = resolve(config["device"], config["dtype"], config["threads"])
    with machine.activate(), rng.seeded_layers(config["seed"], "layers"):
        resumed = has_checkpoint(run)
        trainer = construct(Trainer, config["trainer"])
        if not resumed:
            config = with_replica_defaults(config, run, terminal)
        parts = assemble(config, machine, record_for(run, init))
        if parts.replaced:
            config = config | parts.replaced
            run.write_config(run.config() | parts.replaced)
        check_trainable(parts)
        if init is not None:
            load_weights(parts.energy, init, "last", "averaged")
        for note in parts.notes:
            terminal.say(note)
        if not resumed:
            parts = fit_step_size(parts, config, run, terminal)
        state = first_state(parts, trainer, config["seed"])
        keep_data_record(parts.data, run)
        if resumed:
            parts = resume(parts, trainer, state, run, terminal)
        elif trainer.can_roll_back:
            state.save(run)
        say_policy(parts, trainer, terminal)
        warn_of_restarts(parts, terminal)
        with TrainingLog(run, parts, state) as log:
            estimates = train_steps(parts, trainer, state, run, log, terminal)
        terminal.say(disk_use(run))
        return estimates


def resume(parts: Parts, trainer: Trainer, state: TrainState, run: Run, terminal: Terminal) -> Parts:
    """Load the newest readable checkpoint into `state`; return the parts with the values of the last rollback."""
    for problem in rollback.load(state, run):
        terminal.say(f"warning: {problem}; training continues from step-{state.step}")
    remove_old_checkpoints(trainer, run)
    warn_of_decay(parts, trainer, terminal)
    return rollback.with_last_values(parts, state, run)
