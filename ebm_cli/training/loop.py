"""The training loop: steps with their checkpoints, logs, warnings and rollbacks."""

import time

from torch import Tensor

from ebm_cli.assembly.components import Parts
from ebm_cli.estimate import Estimate
from ebm_cli.objective import Outcome
from ebm_cli.run.checkpoint import drop_chains
from ebm_cli.run.disk_use import prune
from ebm_cli.run.folder import Run
from ebm_cli.run.scores import SCORE
from ebm_cli.run.terminal import Stopped, Terminal
from ebm_cli.training.divergence import DivergenceWarnings
from ebm_cli.training.early_stop import ends_early
from ebm_cli.training.likelihood import Likelihood
from ebm_cli.training.ranking import Ranking, chains_of, point_at_best
from ebm_cli.training.rollback import Diverged, Rollbacks
from ebm_cli.training.state import TrainState
from ebm_cli.training.step import require_finite_weights, step
from ebm_cli.training.summary import summary
from ebm_cli.training.trainer import Trainer
from ebm_cli.training.training_log import TrainingLog


def train_steps(
    parts: Parts, trainer: Trainer, state: TrainState, run: Run, log: TrainingLog, terminal: Terminal
) -> dict[str, Estimate]:
    """Train from `state.step` to the last step, with checkpoints and logs at absolute steps; return the numbers."""
    assert parts.data is not None
    start_time, done, outcome, row = time.perf_counter(), 0, None, dict[str, float]()
    warnings, ranking = DivergenceWarnings(parts.data), Ranking(parts.data)
    likelihood = None if trainer.score_every is None else Likelihood(parts.data, state.seed, trainer.track, terminal)
    rollbacks = Rollbacks(trainer.max_rollbacks if trainer.can_roll_back else 0, trainer.rollback_factor)
    ended = ends_early(trainer, run, state.step, terminal)
    with terminal.task("train", trainer.steps, begin=state.step) as tick:
        while state.step < trainer.steps and not ended:
            try:
                outcome, norm = step(parts, trainer, state, run)
                stopping = terminal.stopping()
                saving = stopping or trainer.is_checkpoint_step(state.step)
                if saving:
                    require_finite_weights(parts, outcome, state.step, run)
            except Diverged as failure:
                parts, message = rollbacks.roll_back(failure, parts, state, run)
                terminal.say(message)
                log.rewind()
                point_at_best(run)
                warnings = DivergenceWarnings(warnings.data)
                continue
            done += 1
            scores = likelihood.measure(parts, state) if likelihood and trainer.is_score_step(state.step) else {}
            if scores:
                log.log_scalars(scores)
            ended = ends_early(trainer, run, state.step, terminal)
            if state.step % trainer.log_every == 0 or state.step == trainer.steps or ended:
                row = log_step(log, outcome, norm, done / (time.perf_counter() - start_time), warnings, terminal)
            row |= scores
            tick(state.step, **{k: row[k] for k in ("e_data", "e_model", "acceptance", "nll") if k in row})
            if saving:
                save_and_rank(parts, trainer, state, outcome, ranking, run, log)
            if stopping and state.step < trainer.steps and not ended:
                raise Stopped(f"stopped at step {state.step}; it is saved, and ebm train resume={run.folder} continues")
    rate = done / (time.perf_counter() - start_time) if done else None
    estimates = summary(run, state.step, rate, parts)
    log.finish(chains_of(parts, outcome))
    return estimates


def log_step(
    log: TrainingLog, outcome: Outcome, norm: Tensor, rate: float, warnings: DivergenceWarnings, terminal: Terminal
) -> dict[str, float]:
    """Log the present step, print and log new warnings, and return what was logged.

    rate: training steps per second.
    """
    extra = {} if outcome.x_model is None else {"outside": warnings.outside(outcome.x_model)}
    row = log.log(outcome, norm, rate, extra)
    for warning in warnings.add(log.state.step, row):
        terminal.say(warning)
        log.warn(warning)
    return row


def save_and_rank(
    parts: Parts,
    trainer: Trainer,
    state: TrainState,
    outcome: Outcome,
    ranking: Ranking,
    run: Run,
    log: TrainingLog,
) -> None:
    """Write and rank a checkpoint, and remove old checkpoints except the best and the first."""
    chains = chains_of(parts, outcome)
    score = None if chains is None else ranking.score(chains)
    if score is not None:
        log.log_scalars({SCORE: score})
    log.flush()
    state.save(run)
    point_at_best(run)
    remove_old_checkpoints(trainer, run)


def remove_old_checkpoints(trainer: Trainer, run: Run) -> None:
    """Remove the checkpoints and the stored chains that training no longer needs."""
    prune(run, trainer.keep, spare=["step-0"])
    drop_chains(run, all_kept=trainer.can_roll_back)
