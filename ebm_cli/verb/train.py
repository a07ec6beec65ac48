"""`ebm train`: fit an energy to data. Read `train` top to bottom: it is the recipe."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ebm_cli import check, rng
from ebm_cli.assembly.build import Config, construct, together
from ebm_cli.assembly.data_record import read_data_record, save_data_record
from ebm_cli.assembly.parts import Parts, assemble, load_weights
from ebm_cli.data import DataRecord, HasRecord
from ebm_cli.energy import frozen
from ebm_cli.estimate import Estimate, refused
from ebm_cli.objective import Outcome
from ebm_cli.optimizer import Rate
from ebm_cli.run.checkpoint import drop_chains, has_checkpoint
from ebm_cli.run.folder import Run, disk_use, prune
from ebm_cli.run.machine import resolve
from ebm_cli.run.scores import SCORE
from ebm_cli.run.terminal import Stopped, Terminal
from ebm_cli.start import HasPolicy
from ebm_cli.training import rollback
from ebm_cli.training import training_log as curves
from ebm_cli.training.divergence import NO_CHAINS, Watch
from ebm_cli.training.ranking import Likelihood, Ranking, chains_of, point_at_best
from ebm_cli.training.rollback import Diverged, Rollbacks
from ebm_cli.training.state import TrainState
from ebm_cli.training.step_size import fit_step_size

# How many times larger than the data's energies those of chains are that have run away.
RUNAWAY = 1000.0


@dataclass(frozen=True)
class Trainer:
    """How long to train and what to keep.

    steps: absolute step to end at ≥ 1. batch_size: rows a step ≥ 1. average: decay of the averaged weights in
    [0, 1), or null for none. checkpoint_every, log_every: in steps. nll_every: steps between brackets of the held-out
    nll, each with a checkpoint, or null for none. keep: checkpoints kept ≥ 1, or the size that they may take, such as
    200MB; the newest, the best and, with rollback, step 0 stay in any case. on_divergence: stop or rollback.
    rollbacks: at most so many ≥ 0. rollback_factor: in (0, 1), by which each multiplies the rate or the chains' step.
    """

    steps: int
    batch_size: int
    average: float | None
    checkpoint_every: int
    log_every: int
    nll_every: int | None
    keep: int | str
    on_divergence: str
    rollbacks: int
    rollback_factor: float

    def __post_init__(self) -> None:
        counts = ("steps", "batch_size", "checkpoint_every", "log_every")
        check.every(
            *(partial(check.count, name, getattr(self, name)) for name in counts),
            lambda: check.count_or_size("keep", self.keep),
            lambda: self.nll_every is None or check.count("nll_every", self.nll_every),
            lambda: self.average is None or check.half_open("average", self.average),
            lambda: check.one_of("on_divergence", self.on_divergence, ["stop", "rollback"]),
            lambda: check.count("rollbacks", self.rollbacks, least=0),
            lambda: check.half_open("rollback_factor", self.rollback_factor),
            lambda: self.rollback_factor == 0 and check.positive("rollback_factor", self.rollback_factor),
        )

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is due."""
        return step % self.checkpoint_every == 0 or step == self.steps or self.scores(step)

    @property
    def may_go_back(self) -> bool:
        """Whether training can go back to checkpoints other than the newest."""
        return self.on_divergence == "rollback"

    def scores(self, step: int) -> bool:
        """Whether a bracket of nll is due."""
        return self.nll_every is not None and (step % self.nll_every == 0 or step == self.steps)


def train(config: Config, run: Run, terminal: Terminal, init: Run | None = None) -> dict[str, Estimate]:
    """Train what `config` names in `run`'s folder, from its last checkpoint where it has one, else from step 0.

    init: a run to take the weights from. Raises Diverged at the first loss, energy or gradient that is not finite,
    the last good checkpoint kept, unless a rollback is left; Stopped after a signal, the step finished and saved.
    """
    place = resolve(config["device"], config["dtype"], config["threads"])
    with place.used(), rng.seeded_layers(config["seed"], "layers"):
        begun = any(run.folder.glob("events.out.tfevents.*"))
        resumed = has_checkpoint(run)
        record = record_for(run, init)
        trainer, parts = together(
            trainer=lambda: construct(Trainer, config["trainer"]),
            _parts=lambda: assemble(config, record),
        )
        if parts.objective is None or parts.data is None or parts.optimizer is None:
            raise check.InputError("objective, data and optimizer must all be chosen to train")
        if init is not None:
            load_weights(parts.energy, init, "last", "averaged")
        for note in parts.notes:
            terminal.say(note)
        if not resumed:
            parts = fit_step_size(parts, config, run, terminal)
        state = begin(parts, trainer, config["seed"])
        if isinstance(parts.data, HasRecord) and read_data_record(run) is None:
            save_data_record(run, parts.data.record())
        if resumed:
            for problem in rollback.load(state, run):
                terminal.say(f"warning: {problem}; going on from step-{state.step}")
            tidy(trainer, run)
            parts = rollback.apply(parts, state, run)
            warn_of_decay(parts, trainer, terminal)
        elif trainer.may_go_back:
            state.save(run)
        say_policy(parts, trainer, terminal)
        run.cut_history(state.step)
        with curves.Board(run, parts, state, purge=state.step + 1 if begun else None) as board:
            estimates = loop(parts, trainer, state, run, board, terminal)
        terminal.say(disk_use(run))
        return estimates


def record_for(run: Run, init: Run | None) -> DataRecord | None:
    """The data record that a resumed run has of its own, or that of `init`, whose weights belong to its units."""
    own = read_data_record(run)
    if own is not None:
        return own.used_for("resume")
    other = None if init is None else read_data_record(init)
    return None if other is None else other.used_for("units")


def say_policy(parts: Parts, trainer: Trainer, terminal: Terminal) -> None:
    """Tell in one line where the model's chains start, continue and restart."""
    steps = getattr(parts.objective, "steps", None)
    teller = parts.objective if isinstance(parts.objective, HasPolicy) else parts.start
    if steps is not None and isinstance(teller, HasPolicy):
        kernel = type(parts.sampler).__name__
        chains = getattr(parts.objective, "chains", None) or trainer.batch_size
        policy = teller.policy(chains, steps)
        plural = "" if steps == 1 else "s"
        how = "" if parts.engine == "eager" else f" ({parts.engine})"
        terminal.say(f"chains: each training step moves {chains} by {steps} step{plural} of {kernel}{how}; {policy}")


def warn_of_decay(parts: Parts, trainer: Trainer, terminal: Terminal) -> None:
    """Say when a resumed run goes on past the end of its schedule, at what is left of its rate."""
    recipe = parts.optimizer
    if isinstance(recipe, Rate) and recipe.decay != "constant" and trainer.steps > recipe.decay_at:
        left = recipe.lr * recipe.factor(trainer.steps)
        terminal.say(
            f"warning: the rate has decayed to {left:g} from step {recipe.decay_at} on, and extending a run keeps "
            "its schedule; init= starts a new run with a new one"
        )


def begin(parts: Parts, trainer: Trainer, seed: int) -> TrainState:
    """The state of training before its first step."""
    assert parts.objective is not None and parts.optimizer is not None
    parts.energy.train()
    parts.objective.train()
    weights = [*parts.energy.parameters(), *parts.objective.parameters()]
    if not weights:
        raise check.InputError(
            "energy has no torch.nn.Parameter, so there is nothing to train; ebm sample draws from it as it is"
        )
    optimizer = parts.optimizer.build(weights)
    averaged = None
    if trainer.average is not None:
        average = get_ema_multi_avg_fn(trainer.average)
        averaged = AveragedModel(parts.energy, multi_avg_fn=average, use_buffers=False)
    schedule = parts.optimizer.schedule(optimizer)
    return TrainState(parts.energy, averaged, parts.objective, optimizer, schedule, seed, parts.machine.device)


def loop(
    parts: Parts, trainer: Trainer, state: TrainState, run: Run, board: "curves.Board", terminal: Terminal
) -> dict[str, Estimate]:
    """All training steps from `state.step` on; checkpoints and logs come at absolute steps."""
    assert parts.data is not None
    began, done, outcome = time.perf_counter(), 0, None
    row: dict[str, float] = {}
    watch, ranking = Watch(parts.data), Ranking(parts.data)
    likelihood = None if trainer.nll_every is None else Likelihood(parts.data, state.seed)
    rollbacks = Rollbacks(trainer.rollbacks if trainer.may_go_back else 0, trainer.rollback_factor)
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
                board.rewind()
                point_at_best(run)
                watch = Watch(watch.data)
                continue
            done += 1
            if state.step % trainer.log_every == 0 or state.step == trainer.steps:
                extra = {} if outcome.x_model is None else {"outside": watch.outside(outcome.x_model)}
                row = board.log(outcome, norm, done / (time.perf_counter() - began), extra)
                for warning in watch.look(state.step, row):
                    terminal.say(warning)
                    board.warn(warning)
            tick(state.step, **{k: row[k] for k in ("e_data", "e_model", "acceptance", "nll") if k in row})
            if saving or stopping:
                if likelihood is not None and trainer.scores(state.step):
                    row |= board.rank(likelihood.measure(parts, state))
                save(parts, trainer, state, outcome, ranking, run, board)
            if stopping and state.step < trainer.steps:
                raise Stopped(f"stopped at step {state.step}, saved; ebm train resume={run.folder} goes on")
    rate = done / (time.perf_counter() - began) if done else None
    estimates = summary(run, state.step, rate, parts)
    board.finish(chains_of(parts, outcome))
    return estimates


def save(
    parts: Parts,
    trainer: Trainer,
    state: TrainState,
    outcome: Outcome,
    ranking: Ranking,
    run: Run,
    board: "curves.Board",
) -> None:
    """Write a checkpoint, rank it, and remove those that are neither new, nor the best, nor the first."""
    chains = chains_of(parts, outcome)
    score = None if chains is None else ranking.score(chains)
    if score is not None:
        board.rank({SCORE: score})
    board.flush()
    state.save(run)
    point_at_best(run)
    tidy(trainer, run)


def tidy(trainer: Trainer, run: Run) -> None:
    """Remove the checkpoints, and the chains stored with some, that training no longer needs."""
    prune(run, trainer.keep, spare=["step-0"])
    drop_chains(run, all_kept=trainer.may_go_back)


def step(parts: Parts, trainer: Trainer, state: TrainState, run: Run) -> tuple[Outcome, Tensor]:
    """One training step: batch, loss, gradient, update, average. Returns the gradient's norm before clipping."""
    assert parts.data is not None and parts.objective is not None and parts.optimizer is not None
    number = state.step + 1
    batch = parts.data.sample(trainer.batch_size, state.generators["data"])
    outcome = parts.objective(parts.energy, batch, state.generators["chains"])
    loss = outcome.loss
    for regularizer in parts.regularizers.values():
        loss = loss + regularizer(parts.energy, outcome, state.generators["chains"])
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    clip = parts.optimizer.clip
    norm = nn.utils.clip_grad_norm_(parameters, float("inf") if clip is None else clip)
    guard(outcome, loss, norm, number, run)
    state.optimizer.step()
    state.schedule.step()
    if state.averaged is not None:
        state.averaged.update_parameters(parts.energy)
    state.step = number
    return outcome, norm


def guard(outcome: Outcome, loss: Tensor, norm: Tensor, number: int, run: Run) -> None:
    """Raise Diverged, naming the quantity, chain and step, unless everything of this step is finite."""
    if bool((loss.isfinite() & norm.isfinite()).all()):
        return
    quantities: dict[str, Any] = {
        "energy of the model's chains (e_model)": outcome.e_model,
        "energy of the data (e_data)": outcome.e_data,
        "loss": loss[None],
        "gradient of the loss": norm[None],
    }
    for name, value in quantities.items():
        if value is not None and not bool(value.isfinite().all()):
            rows = (~value.isfinite()).nonzero().flatten().tolist()
            where = f" (chain {rows[0]}, {len(rows)} of {len(value)})" if value is outcome.e_model else ""
            raise Diverged(f"the {name} is not finite{where}", number, run, chains_broke(outcome))


def chains_broke(outcome: Outcome) -> bool:
    """Whether it was the chains: energies that are not finite, or a thousand times larger than any of the data."""
    if outcome.e_model is None:
        return False
    largest = outcome.e_data.detach().abs().max().clamp(min=1.0)
    return not bool((outcome.e_model.detach().abs() < RUNAWAY * largest).all())


def guard_weights(parts: Parts, outcome: Outcome, number: int, run: Run) -> None:
    """Raise Diverged, so that no such checkpoint is kept, unless weights and the energies that they give are finite."""
    if not all(bool(p.isfinite().all()) for p in parts.energy.parameters()):
        raise Diverged("the weights are not finite after the update", number, run)
    with torch.no_grad(), frozen(parts.energy):
        if not bool(parts.energy(outcome.x_data).isfinite().all()):
            raise Diverged("the energy of the data is not finite after the update", number, run)


def summary(run: Run, steps: int, rate: float | None, parts: Parts) -> dict[str, Estimate]:
    """The train keys of metrics.json: means over the last tenth of the logged steps, with their errors.

    rate: steps per second, None to take that of the logged steps. Loss and energies are under the verdict of `Watch`.
    """
    assert parts.data is not None
    history = [row for row in run.history() if "loss" in row]
    verdict, reasons = Watch(parts.data).verdict(history, parts.sampler.temperature, parts.has_chains)
    replaced = run.config().get("replaced")
    if verdict == "refused" and replaced is not None and reasons != [NO_CHAINS]:
        own = str(replaced["sampler"].get("_target_")).split(".")[-2]
        reasons.append(f"the recipe was made for sampler={own}: name no other")
    if rate is None:
        rate = float(history[-1]["steps_per_second"]) if history else 0.0
    tail = history[-max(1, len(history) // 10) :]
    rows = {"steps": Estimate(float(steps))}
    for name, unit in (("loss", None), ("e_data", "energy"), ("e_model", "energy")):
        values = torch.tensor([row[name] for row in tail if name in row], dtype=torch.float64)
        if len(values):
            se = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
            mean = Estimate(float(values.mean()), se=se, unit=unit)
            rows[name] = refused("; ".join(reasons), unit) if verdict == "refused" else mean.with_caution(reasons)
    rows["steps_per_second"] = Estimate(rate, unit="1/s")
    # The chains' and the loss's own.
    gradients = [row.get("chain_gradients", 0.0) + 1 for row in tail]
    rows["gradients_per_second"] = Estimate(rate * sum(gradients) / len(gradients), unit="1/s")
    return rows
