"""The response to a non-finite value: stop, or return to a good checkpoint with a smaller rate or step size."""

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
from ebm_cli.sampler.tempering import Tempering
from ebm_cli.training.state import TrainState

REMEDIES = (
    "what usually helps: a smaller optimizer.lr or sampler.step_size, optimizer.clip, energy.confinement > 0, "
    "trainer.on_divergence=rollback; resume={folder} continues from the last checkpoint, init={folder} starts a new "
    "run from it with other settings"
)
RECORD = "rollbacks.json"


class Diverged(WorkFailed):
    """The first non-finite value of training.

    what: the quantity.
    of_chains: True if chains contained it.
    """

    def __init__(self, what: str, step: int, run: Run, of_chains: bool = False) -> None:
        super().__init__(f"diverged at step {step}: {what}; " + REMEDIES.format(folder=run.folder))
        self.what = what
        self.step = step
        self.of_chains = of_chains


@dataclass(frozen=True)
class Rollbacks:
    """Returns to the last good checkpoint with another seed, and with optimizer.lr or sampler.step_size times `factor`.

    If chains diverged in the first step of the run or after a rollback, no update had changed the weights, and the step
    size is decreased. If anything else diverged, the rate is decreased. If chains diverged later, either may be the
    cause. The rate is decreased first; later rollbacks repeat the last decrease if training then lasted longer than
    before, and otherwise change to the other quantity.

    If training diverges again before the next checkpoint, the checkpoint before is used, down to step 0. Each rollback
    is recorded in rollbacks.json, and the new values in config.yaml. Therefore a resumed run gives the same bits as
    a run that was never stopped, and later verbs use the step size that worked.

    maximum: maximum number of rollbacks in a run (≥ 0).
    factor: in (0, 1).
    """

    maximum: int
    factor: float

    def roll_back(self, failure: Diverged, parts: Parts, state: TrainState, run: Run) -> tuple[Parts, str]:
        """Restore `state`. Return the parts with which training continues, and a message for the user.

        Raises the failure itself after the last rollback.
        """
        done = past_rollbacks(run)
        if len(done) >= self.maximum:
            raise failure
        last = last_step(run)
        if done and done[-1]["to"] == last:
            last = max((step for step in run.steps() if step < last), default=last)
        folder, _ = newest_checkpoint(run, last)
        lr = parts.optimizer.lr if isinstance(parts.optimizer, Rate) else None
        step_size = getattr(kernel_of(parts.sampler), "step_size", None)
        survived = failure.step - (done[-1]["to"] if done else 0)
        lowered = "rate" if step_size is None or lr is None else what_to_decrease(failure, survived, done)
        entry = {
            "at": failure.step,
            "to": int(folder.name.removeprefix("step-")),
            "reason": failure.what,
            "survived": survived,
            "lowered": lowered,
            "lr": lr * self.factor if lr is not None and lowered == "rate" else lr,
            "step_size": step_size * self.factor if step_size is not None and lowered == "step" else step_size,
        }
        # A rollback is done once it is recorded: if a kill interrupts the rest, `load` finishes it.
        write_text(run.folder / RECORD, json.dumps([*done, entry], indent=1, ensure_ascii=False))
        return_to(run, entry["to"])
        state.load(folder)
        return with_last_values(parts, state, run), (
            f"diverged at step {failure.step}: {failure.what}; training returns to step {entry['to']} with another "
            f"seed, optimizer.lr {show(entry['lr'])}, sampler.step_size {show(entry['step_size'])} "
            f"(rollback {len(done) + 1} of {self.maximum})"
        )


def kernel_of(sampler: Sampler) -> Sampler:
    """Return the kernel that moves the replicas of replica exchange, and any other sampler itself."""
    return sampler.kernel if isinstance(sampler, Tempering) else sampler


def what_to_decrease(failure: Diverged, survived: int, done: list[dict[str, Any]]) -> str:
    """Return rate or step, by the rule that `Rollbacks` describes.

    survived: number of training steps since the last rollback.
    """
    if not failure.of_chains:
        return "rate"
    if survived == 1:
        return "step"
    if not done:
        return "rate"
    last = done[-1]["lowered"]
    other = "step" if last == "rate" else "rate"
    return last if survived > done[-1]["survived"] else other


def past_rollbacks(run: Run) -> list[dict[str, Any]]:
    """Return the rollbacks of a run so far, oldest first."""
    return read_json(run.folder / RECORD) or []


def return_to(run: Run, step: int) -> None:
    """Let `last` name the checkpoint of `step`, and remove all later checkpoints."""
    write_text(run.checkpoints / "last", f"step-{step}\n")
    for beyond in [other for other in run.steps() if other > step]:
        rmtree(run.checkpoints / f"step-{beyond}")
    drop_chains(run, all_kept=True)


def load(state: TrainState, run: Run) -> list[str]:
    """Load the newest intact checkpoint of a run that is resumed; return what is wrong with newer checkpoints.

    If a kill interrupted a rollback, it is recorded, but `last` names a later step. Such a rollback is finished.
    """
    folder, problems = newest_checkpoint(run)
    lacks = state.load(folder)
    done = past_rollbacks(run)
    if state.rollbacks < len(done) and state.step >= done[-1]["to"]:
        folder, more = newest_checkpoint(run, done[-1]["to"])
        problems += [problem for problem in more if problem not in problems]
        return_to(run, int(folder.name.removeprefix("step-")))
        lacks = state.load(folder)
    write_text(run.checkpoints / "last", folder.name + "\n")
    return problems + lacks


def with_last_values(parts: Parts, state: TrainState, run: Run) -> Parts:
    """Return the parts with the values of the last rollback, if any, and give `state` the same values."""
    done = past_rollbacks(run)
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
        sampler: Any = parts.sampler
        kernel = dataclasses.replace(cast(Any, kernel_of(sampler)), step_size=step_size)
        if isinstance(sampler, Tempering):
            config["sampler"]["kernel"]["step_size"] = step_size
            parts = parts.with_sampler(dataclasses.replace(sampler, kernel=kernel))
        else:
            config["sampler"]["step_size"] = step_size
            parts = parts.with_sampler(kernel)
    run.write_config(config)
    return parts
