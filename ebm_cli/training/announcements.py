"""Messages that training prints before its first step."""

from ebm_cli.assembly.components import Parts
from ebm_cli.optimizer import Rate
from ebm_cli.run.terminal import Terminal
from ebm_cli.start import HasPolicy
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


def warn_of_decay(parts: Parts, trainer: Trainer, terminal: Terminal) -> None:
    """Warn if a resumed run continues beyond the end of its learning rate's schedule."""
    recipe = parts.optimizer
    if isinstance(recipe, Rate) and recipe.decay != "constant" and trainer.steps > recipe.decay_at:
        left = recipe.lr * recipe.factor(trainer.steps)
        terminal.say(
            f"warning: the learning rate has decayed to {left:g} since step {recipe.decay_at}, and a resumed run keeps "
            "this schedule. To train with another schedule, start a new run with init="
        )
