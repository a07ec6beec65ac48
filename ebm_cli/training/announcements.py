"""What training prints before its first step."""

from ebm_cli.assembly.components import Parts
from ebm_cli.optimizer import Rate
from ebm_cli.run.terminal import Terminal
from ebm_cli.start import HasPolicy
from ebm_cli.training.trainer import Trainer


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
