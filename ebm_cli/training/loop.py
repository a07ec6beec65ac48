"""All training steps: checkpoints, logs, warnings and rollbacks at their absolute steps."""

import time

from ebm_cli.assembly.components import Parts
from ebm_cli.estimate import Estimate
from ebm_cli.objective import Outcome
from ebm_cli.run.checkpoint import drop_chains
from ebm_cli.run.disk_use import prune
from ebm_cli.run.folder import Run
from ebm_cli.run.scores import SCORE
from ebm_cli.run.terminal import Stopped, Terminal
from ebm_cli.training.divergence import DivergenceWarnings
from ebm_cli.training.ranking import Likelihood, Ranking, chains_of, point_at_best
from ebm_cli.training.rollback import Diverged, Rollbacks
from ebm_cli.training.state import TrainState
from ebm_cli.training.step import guard_weights, step
from ebm_cli.training.summary import summary
from ebm_cli.training.trainer import Trainer
from ebm_cli.training.training_log import TrainingLog


def train_steps(
    parts: Parts, trainer: Trainer, state: TrainState, run: Run, log: TrainingLog, terminal: Terminal
) -> dict[str, Estimate]:
    """All training steps from `state.step` on; checkpoints and logs come at absolute steps."""
    assert parts.data is not None
    began, done, outcome = time.perf_counter(), 0, None
    row: dict[str, float] = {}
    warnings, ranking = DivergenceWarnings(parts.data), Ranking(parts.data)
    likelihood = None if trainer.nll_every is None else Likelihood(parts.data, state.seed)
    rollbacks = Rollbacks(trainer.max_rollbacks if trainer.may_go_back else 0, trainer.rollback_factor)
    with terminal.task("train", trainer.steps, begin=state.step) as tick:
        while state.step < trainer.steps:
            try:
                outcome, norm = step(parts, trainer, state, run)
                saving = trainer.saves(state.step)
                stopping = terminal.stopping()
                if saving or stopping:
                    guard_weights(parts, outcome, state.step, run)
            except Diverged as failure:
                parts, message = rollbacks.take(failure, parts, state, run)
                terminal.say(message)
                log.rewind()
                point_at_best(run)
                warnings = DivergenceWarnings(warnings.data)
                continue
            done += 1
            if state.step % trainer.log_every == 0 or state.step == trainer.steps:
                extra = {} if outcome.x_model is None else {"outside": warnings.outside(outcome.x_model)}
                row = log.log(outcome, norm, done / (time.perf_counter() - began), extra)
                for warning in warnings.add(state.step, row):
                    terminal.say(warning)
                    log.warn(warning)
            tick(state.step, **{k: row[k] for k in ("e_data", "e_model", "acceptance", "nll") if k in row})
            if saving or stopping:
                if likelihood is not None and trainer.scores(state.step):
                    row |= log.rank(likelihood.measure(parts, state))
                save_and_rank(parts, trainer, state, outcome, ranking, run, log)
            if stopping and state.step < trainer.steps:
                raise Stopped(f"stopped at step {state.step}, saved; ebm train resume={run.folder} goes on")
    rate = done / (time.perf_counter() - began) if done else None
    estimates = summary(run, state.step, rate, parts)
    log.finish(chains_of(parts, outcome))
    return estimates


def save_and_rank(
    parts: Parts,
    trainer: Trainer,
    state: TrainState,
    outcome: Outcome,
    ranking: Ranking,
    run: Run,
    log: TrainingLog,
) -> None:
    """Write a checkpoint, rank it, and remove those that are neither new, nor the best, nor the first."""
    chains = chains_of(parts, outcome)
    score = None if chains is None else ranking.score(chains)
    if score is not None:
        log.rank({SCORE: score})
    log.flush()
    state.save(run)
    point_at_best(run)
    remove_old_checkpoints(trainer, run)


def remove_old_checkpoints(trainer: Trainer, run: Run) -> None:
    """Remove the checkpoints, and the chains stored with some, that training no longer needs."""
    prune(run, trainer.keep, spare=["step-0"])
    drop_chains(run, all_kept=trainer.may_go_back)
