"""Messages that training prints before its first step."""

from ebm_cli.assembly.components import Parts
from ebm_cli.chain.replica_search import needs_search
from ebm_cli.optimizer import Rate
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampler.tempering import Tempering
from ebm_cli.start import HasPolicy, Memoryless
from ebm_cli.training.trainer import Trainer


def say_policy(parts: Parts, trainer: Trainer, terminal: Terminal) -> None:
    """Print in one line where the model's chains start, continue and restart."""
    steps = getattr(parts.objective, "steps", None)
    start = parts.objective if isinstance(parts.objective, HasPolicy) else parts.start
    if steps is not None and isinstance(start, HasPolicy):
        kernel = type(parts.sampler).__name__
        chains = getattr(parts.objective, "chains", None) or trainer.batch_size
        policy = start.policy(chains, steps)
        plural = "" if steps == 1 else "s"
        engine = "" if parts.engine == "eager" else f" ({parts.engine})"
        terminal.say(f"chains: each training step moves {chains} by {steps} step{plural} of {kernel}{engine}; {policy}")


def warn_of_restarts(parts: Parts, terminal: Terminal) -> None:
    """Warn if replicas start again in every training step, before states of the far end can reach the model.

    A step moves a state by at most one replica. A pilot run nearly always finds places of three replicas or more.
    """
    sampler, steps = parts.sampler, getattr(parts.objective, "steps", None)
    if steps is None or not isinstance(sampler, Tempering) or not isinstance(parts.start, Memoryless):
        return
    needed = 2 if needs_search(sampler) else len(sampler.path.replica_betas()) - 1
    if not isinstance(parts.objective, HasPolicy) and steps < needed:
        terminal.say(
            "warning: replicas start again in every training step, and states of the far end of the path do not reach "
            f"the model within objective.steps={steps}. Type start=replay"
        )


def warn_of_decay(parts: Parts, trainer: Trainer, terminal: Terminal) -> None:
    """Warn if a resumed run continues beyond the end of its learning rate's schedule."""
    recipe = parts.optimizer
    if isinstance(recipe, Rate) and recipe.decay != "constant" and trainer.steps > recipe.decay_at:
        left = recipe.lr * recipe.factor(trainer.steps)
        terminal.say(
            f"warning: the learning rate has decayed to {left:g} since step {recipe.decay_at}, and a resumed run keeps "
            "this schedule. To train with another schedule, start a new run with init="
        )
