"""`ebm train`: fit an energy to data. Read `train` top to bottom: it is the recipe."""

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ebm_cli import check, curves, rng
from ebm_cli.build import Config, together
from ebm_cli.estimate import Estimate
from ebm_cli.machine import resolve
from ebm_cli.objective import Outcome
from ebm_cli.optimizer import Rate
from ebm_cli.parts import Parts, assemble, load_weights
from ebm_cli.run import Run, prune, write_text
from ebm_cli.state import TrainState, newest_whole
from ebm_cli.terminal import Stopped, Terminal, WorkFailed

REMEDIES = (
    "what usually helps: a lower optimizer.lr or sampler.step_size, optimizer.clip, energy.confinement > 0; "
    "resume={folder} goes back to the last checkpoint, init={folder} starts anew from it with other settings"
)


@dataclass(frozen=True)
class Trainer:
    """How long to train and what to keep.

    steps: absolute step to end at ≥ 1. batch_size: rows a step ≥ 1. average: decay of the averaged weights in
    [0, 1), or null for none. checkpoint_every, log_every: in steps. keep: checkpoints kept ≥ 1. on_divergence:
    stop.
    """

    steps: int
    batch_size: int
    average: float | None
    checkpoint_every: int
    log_every: int
    keep: int
    on_divergence: str

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "checkpoint_every", "log_every", "keep"):
            check.count(name, getattr(self, name))
        if self.average is not None:
            check.half_open("average", self.average)
        check.one_of("on_divergence", self.on_divergence, ["stop"])


def train(config: Config, run: Run, terminal: Terminal, init: Run | None = None) -> dict[str, Estimate]:
    """Train what `config` names in `run`'s folder, from its last checkpoint where it has one.

    init: a run to take the weights from. Raises WorkFailed at the first loss, energy or gradient that is not
    finite, the last good checkpoint kept; Stopped after a signal, the step finished and saved.
    """
    place = resolve(config["device"], config["dtype"], config["threads"])
    with place.used(), rng.seeded_layers(config["seed"], "layers"):
        trainer, parts = together(
            trainer=lambda: Trainer(**config["trainer"]),
            _parts=lambda: assemble(config),
        )
        if parts.objective is None or parts.data is None or parts.optimizer is None:
            raise check.InputError("objective, data and optimizer must all be chosen to train")
        if init is not None:
            load_weights(parts.energy, init, "last", "averaged")
        state = begin(parts, trainer, config["seed"])
        resumed = (run.checkpoints / "last").exists()
        if resumed:
            folder, problems = newest_whole(run)
            for problem in problems:
                terminal.say(f"warning: {problem}; going on from {folder.name}")
            write_text(run.checkpoints / "last", folder.name + "\n")
            state.load(folder)
            warn_of_decay(parts, trainer, terminal)
        run.cut_history(state.step)
        with curves.Board(run, parts, state, purge=state.step + 1 if resumed else None) as board:
            return loop(parts, trainer, state, run, board, terminal)


def warn_of_decay(parts: Parts, trainer: Trainer, terminal: Terminal) -> None:
    """Say when a resumed run goes on past the end of its schedule, at what is left of its rate."""
    recipe = parts.optimizer
    if isinstance(recipe, Rate) and recipe.decay != "constant" and trainer.steps > recipe.decay_at:
        terminal.say(
            f"warning: the rate has decayed to {recipe.lr * recipe.decay_factor:g} from step {recipe.decay_at} "
            f"on, and extending a "
            "run keeps its schedule; init= starts a new run with a new one"
        )


def begin(parts: Parts, trainer: Trainer, seed: int) -> TrainState:
    """The state of training before its first step."""
    assert parts.objective is not None and parts.optimizer is not None
    parts.energy.train()
    parts.objective.train()
    optimizer = parts.optimizer.build([*parts.energy.parameters(), *parts.objective.parameters()])
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
    began, first = time.perf_counter(), state.step
    row: dict[str, float] = {}
    with terminal.task("train", trainer.steps, begin=state.step) as tick:
        while state.step < trainer.steps:
            outcome, norm = step(parts, trainer, state, run)
            if state.step % trainer.log_every == 0 or state.step == trainer.steps:
                rate = (state.step - first) / (time.perf_counter() - began)
                row = board.log(outcome, norm, rate)
            tick(state.step, **{k: row[k] for k in ("e_data", "e_model", "acceptance") if k in row})
            stopping = terminal.stopping()
            if stopping or state.step % trainer.checkpoint_every == 0 or state.step == trainer.steps:
                guard_weights(parts, state.step, run)
                board.flush()
                state.save(run)
                prune(run, trainer.keep)
            if stopping and state.step < trainer.steps:
                raise Stopped(f"stopped at step {state.step}, saved; ebm train resume={run.folder} goes on")
    board.finish()
    rate = (state.step - first) / max(time.perf_counter() - began, 1e-9)
    return summary(run, state.step, rate, gradients_per_step(parts))


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
    """Raise WorkFailed, naming the quantity, chain and step, unless everything of this step is finite."""
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
            raise WorkFailed(
                f"diverged at step {number}: the {name} is not finite{where}; " + REMEDIES.format(folder=run.folder)
            )


def guard_weights(parts: Parts, number: int, run: Run) -> None:
    """Raise WorkFailed, so that no such checkpoint is kept, unless all weights are finite."""
    if not all(bool(p.isfinite().all()) for p in parts.energy.parameters()):
        raise WorkFailed(
            f"diverged at step {number}: the weights are not finite after the update; "
            + REMEDIES.format(folder=run.folder)
        )


def gradients_per_step(parts: Parts) -> int:
    """Gradient evaluations of the energy a training step: the chains' and the loss's own."""
    steps = getattr(parts.objective, "steps", 0)
    return int(steps) + 1 if steps else 1


def summary(run: Run, steps: int, rate: float, gradients: int) -> dict[str, Estimate]:
    """The train keys of metrics.json: means over the last tenth of the logged steps, with their errors."""
    history = run.history()
    tail = history[-max(1, len(history) // 10) :]
    rows = {"steps": Estimate(float(steps))}
    for name, unit in (("loss", None), ("e_data", "energy"), ("e_model", "energy")):
        values = torch.tensor([row[name] for row in tail if name in row], dtype=torch.float64)
        if len(values):
            se = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
            rows[name] = Estimate(float(values.mean()), se=se, unit=unit)
    rows["steps_per_second"] = Estimate(rate, unit="1/s")
    rows["gradients_per_second"] = Estimate(rate * gradients, unit="1/s")
    return rows
