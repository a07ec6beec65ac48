"""What training does after a value that is not finite: end, or go back to a good checkpoint and try more gently."""

import dataclasses
import json
from dataclasses import dataclass
from shutil import rmtree
from typing import Any, cast

from ebm_cli.assembly.components import Parts
from ebm_cli.estimate import show
from ebm_cli.optimizer import Rate
from ebm_cli.run.checkpoint import drop_chains, last_step, newest_checkpoint
from ebm_cli.run.folder import Run, read_json
from ebm_cli.run.terminal import WorkFailed
from ebm_cli.run.writing import write_text
from ebm_cli.sampler import Sampler
from ebm_cli.training.state import TrainState

REMEDIES = (
    "what usually helps: a lower optimizer.lr or sampler.step_size, optimizer.clip, energy.confinement > 0, "
    "trainer.on_divergence=rollback; resume={folder} goes back to the last checkpoint, init={folder} starts anew "
    "from it with other settings"
)
RECORD = "rollbacks.json"


class Diverged(WorkFailed):
    """The first value of training that is not finite. what: where it was seen. of_chains: whether chains held it."""

    def __init__(self, what: str, step: int, run: Run, of_chains: bool = False) -> None:
        super().__init__(f"diverged at step {step}: {what}; " + REMEDIES.format(folder=run.folder))
        self.what = what
        self.step = step
        self.of_chains = of_chains


@dataclass(frozen=True)
class Rollbacks:
    """Back to the last good checkpoint with another seed, and optimizer.lr or sampler.step_size times `factor`.

    The step is lowered where chains broke on weights that no update had touched, the rate where something else broke.
    Where chains broke later either may be to blame: what was lowered last is lowered again if training got further for
    it, else the other, beginning with the rate.

    A checkpoint from which training diverges again before it has written the next is passed over for the one before,
    down to step 0. Each rollback is recorded in rollbacks.json, and the lowered values in config.yaml, so that a
    resumed run goes on as one never stopped and later verbs use the step that worked.

    most: rollbacks ≥ 0 in a run. factor: in (0, 1).
    """

    most: int
    factor: float

    def take(self, failure: Diverged, parts: Parts, state: TrainState, run: Run) -> tuple[Parts, str]:
        """Put `state` back; the gentler parts to go on with, and what happened in one line.

        Raises the failure itself when no rollback is left.
        """
        done = record(run)
        if len(done) >= self.most:
            raise failure
        last = last_step(run)
        if done and done[-1]["to"] == last:
            last = max((step for step in run.steps() if step < last), default=last)
        folder, _ = newest_checkpoint(run, last)
        lr, step_size = settings(parts)
        survived = failure.step - (done[-1]["to"] if done else 0)
        lowered = "rate" if step_size is None or lr is None else to_lower(failure, survived, done)
        entry = {
            "at": failure.step,
            "to": int(folder.name.removeprefix("step-")),
            "reason": failure.what,
            "survived": survived,
            "lowered": lowered,
            "lr": lr * self.factor if lr is not None and lowered == "rate" else lr,
            "step_size": lower(step_size, self.factor) if step_size is not None and lowered == "step" else step_size,
        }
        # From here on the rollback holds: `load` does what a kill leaves undone.
        write_text(run.folder / RECORD, json.dumps([*done, entry], indent=1, ensure_ascii=False))
        go_back(run, entry["to"])
        state.load(folder)
        return apply(parts, state, run), (
            f"diverged at step {failure.step}: {failure.what}; back to step {entry['to']} with another seed, "
            f"optimizer.lr {show(entry['lr'])}, sampler.step_size {show(entry['step_size'])} "
            f"(rollback {len(done) + 1} of {self.most})"
        )


def to_lower(failure: Diverged, survived: int, done: list[dict[str, Any]]) -> str:
    """What to lower, rate or step, by the rule of `Rollbacks`; survived: training steps since the last rollback."""
    if not failure.of_chains:
        return "rate"
    if survived == 1:
        return "step"
    if not done:
        return "rate"
    last = done[-1]["lowered"]
    other = "step" if last == "rate" else "rate"
    return last if survived > done[-1]["survived"] else other


def lower(step_size: float | list[float], factor: float) -> float | list[float]:
    """The step size, or that of each temperature, times `factor`."""
    return [each * factor for each in step_size] if isinstance(step_size, list) else step_size * factor


def record(run: Run) -> list[dict[str, Any]]:
    """The rollbacks of a run so far, oldest first."""
    return read_json(run.folder / RECORD) or []


def go_back(run: Run, step: int) -> None:
    """Let `last` name the checkpoint of `step`, and remove those beyond it, from which training diverged."""
    write_text(run.checkpoints / "last", f"step-{step}\n")
    for beyond in [other for other in run.steps() if other > step]:
        rmtree(run.checkpoints / f"step-{beyond}")
    drop_chains(run, all_kept=True)


def load(state: TrainState, run: Run) -> list[str]:
    """Bring `state` to where a resumed run goes on, its newest whole checkpoint; returns what was wrong with others.

    A rollback that a kill cut short, recorded but with `last` still beyond it, is finished first.
    """
    folder, problems = newest_checkpoint(run)
    lacks = state.load(folder)
    done = record(run)
    if state.rollbacks < len(done) and state.step >= done[-1]["to"]:
        folder, more = newest_checkpoint(run, done[-1]["to"])
        problems += [problem for problem in more if problem not in problems]
        go_back(run, int(folder.name.removeprefix("step-")))
        lacks = state.load(folder)
    write_text(run.checkpoints / "last", folder.name + "\n")
    return problems + lacks


def apply(parts: Parts, state: TrainState, run: Run) -> Parts:
    """The parts as the last rollback left them, and `state`, just begun or loaded, brought under the same."""
    done = record(run)
    if not done:
        return parts
    if state.rollbacks < len(done):
        state.rollbacks = len(done)
        state.reseed(f"rollback-{len(done)}")
    config = run.config()
    lr, step_size = done[-1]["lr"], done[-1]["step_size"]
    if isinstance(parts.optimizer, Rate):
        recipe = dataclasses.replace(parts.optimizer, lr=lr)
        state.schedule.base_lrs = [lr for _ in state.schedule.base_lrs]
        for group in state.optimizer.param_groups:
            group["lr"] = lr * recipe.factor(state.step + 1)
        config["optimizer"]["lr"] = lr
        parts = dataclasses.replace(parts, optimizer=recipe)
    if step_size is not None and dataclasses.is_dataclass(parts.sampler):
        sampler = cast(Sampler, dataclasses.replace(cast(Any, parts.sampler), step_size=step_size))
        config["sampler"]["step_size"] = step_size
        parts = parts.with_sampler(sampler)
    run.write_config(config)
    return parts


def settings(parts: Parts) -> tuple[float | None, float | list[float] | None]:
    """The rate and the chains' step size, where there are any."""
    lr = parts.optimizer.lr if isinstance(parts.optimizer, Rate) else None
    return lr, getattr(parts.sampler, "step_size", None)
