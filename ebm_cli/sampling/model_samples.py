"""Samples of the model that metrics compare with data: judged draws of replica exchange, or final states of chains."""

import dataclasses
import math

import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check, figure, rng
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.estimate import Estimate
from ebm_cli.metric import EvaluationContext
from ebm_cli.run.folder import Run
from ebm_cli.run.terminal import Stopped, Terminal, WorkFailed
from ebm_cli.run.writing import write_array
from ebm_cli.sampler.tempering import has_exact_draws
from ebm_cli.sampling.figures import denoised_figure, replica_figures
from ebm_cli.sampling.fresh_chains import initial_states, record_chains, tuning_of
from ebm_cli.sampling.judged_chains import context_of_chains, judge_chains
from ebm_cli.sampling.sampler_choice import SamplerChoice, choose_sampler
from ebm_cli.sampling.sampling_plan import SamplingPlan

# steps=auto: steps before the final state of a chain; and chains and steps between samples of replica exchange.
FINAL_STATE_STEPS = 1000
REPLICA_CHAINS, STEPS_PER_SAMPLE = 24, 20
# The verdict on chains needs more draws than are compared with data.
DRAWS_PER_SAMPLE = 4
FINAL_STATES = "final states of chains"
ONE_SAMPLE_PER_CHAIN = (
    "chains is the number of chains of replica exchange from exact draws. This sampler's samples are final states of "
    "as many chains: type samples=N"
)
NEEDS_DATA = "data must be chosen for metrics that compare samples: run=RUN of a trained model, or data=NAME"


def with_samples(
    context: EvaluationContext, config: Config, parts: Parts, trained: Run | None, terminal: Terminal, run: Run
) -> tuple[EvaluationContext, dict[str, Estimate]]:
    """Return the context with samples from new chains, and the rows of metrics.json on these chains.

    Samples that are not finite are left out with a warning. Chains with one draw each have no rows: their final states
    show what a sampler generates, and nothing shows whether these are draws of the model.
    """
    if context.held_out is None:
        raise check.InputError(NEEDS_DATA)
    n = config["samples"] if config["samples"] is not None else len(context.held_out.x)
    check.count("samples", n, minimum=2)
    check.count_or_auto("chains", config["chains"])
    generator = rng.generator(config["seed"], "chains", parts.machine.device)
    x = initial_states(config, parts, trained, n, generator)
    choice = choose_sampler(parts, config, x, trained, terminal)
    tuning = tuning_of(config, choice, config["burn_in"])
    plan = sample_plan(config, choice, n, tuning.adapt != "none")
    recorded = record_chains(choice.parts, choice.x[: plan.chains], plan, tuning, generator, terminal)
    values = {key: value for key, value in recorded.resolved_values(tuning).items() if key in config}
    run.write_config(run.config() | choice.nodes | values)
    if terminal.stopping():
        raise Stopped(f"stopped while drawing samples; nothing was evaluated in {run.folder}")
    samples, warnings = finite_samples(spaced_draws(recorded.trajectory.x, n), run)
    draw_samples(context, choice.parts, samples, plan, run)
    context = dataclasses.replace(context, samples=samples, warnings=warnings)
    if not gives_several_draws(choice):
        terminal.say(f"samples: {describe_final_states(plan)}")
        return dataclasses.replace(context, samples_name=FINAL_STATES), {}
    figure.save(run, replica_figures(recorded.trajectory))
    of_chains = context_of_chains(choice.parts, recorded)
    judged = judge_chains(of_chains, recorded.trajectory, tuning, config["seed"], generator, terminal.stopping)
    for note in judged.notes:
        terminal.say(note)
    return context, judged.rows


def gives_several_draws(choice: SamplerChoice) -> bool:
    """Return True if a chain gives several samples, by which it can be judged.

    States that come from exact draws are independent of all before, so that one chain of replica exchange gives many
    samples; chains of other samplers may stay in one mode.
    """
    return has_exact_draws(choice.parts.sampler)


def describe_final_states(plan: SamplingPlan) -> str:
    """Return what the final states of chains are, and are not."""
    return (
        f"final states of {plan.chains} chains after {plan.steps} steps. They show what this sampler generates from "
        "this start. Whether they are draws of the model is not judged here: ebm sample does that"
    )


def finite_samples(samples: Tensor, run: Run) -> tuple[Tensor, tuple[str, ...]]:
    """Write samples.npy. Return the finite samples, and a warning if there are others.

    Raises WorkFailed if fewer than two are finite.
    """
    finite = torch.isfinite(samples.flatten(1)).all(1)
    broken = f"{int((~finite).sum())} of {len(samples)} samples are not finite, because their chains diverged"
    if int(finite.sum()) < 2:
        raise WorkFailed(f"{broken}. Decrease sampler.step_size, or type start=data")
    write_array(run.folder / "samples.npy", samples.cpu().numpy())
    return samples[finite], () if bool(finite.all()) else (f"{broken}; they are left out",)


def spaced_draws(x: Float[Tensor, "draws chains *event"], n: int) -> Float[Tensor, "n *event"]:
    """Return n draws, evenly spaced along every chain."""
    each = math.ceil(n / x.shape[1])
    spacing = len(x) // each
    return x[spacing - 1 :: spacing].flatten(0, 1)[-n:]


def sample_plan(config: Config, choice: SamplerChoice, n: int, is_tuned: bool) -> SamplingPlan:
    """Return the chains whose draws are n samples: their final states, or several draws of replica exchange."""
    # Without tuning, the steps before the final state are burn-in enough.
    burn_in = 0 if config["burn_in"] == "auto" and not is_tuned else config["burn_in"]
    steps = config["steps"]
    if not gives_several_draws(choice):
        if config["chains"] != "auto":
            raise check.InputError(ONE_SAMPLE_PER_CHAIN)
        steps = FINAL_STATE_STEPS if steps == "auto" else steps
        return SamplingPlan(chains=n, steps=steps, burn_in=burn_in, thin=steps)
    chains = min(n, REPLICA_CHAINS) if config["chains"] == "auto" else config["chains"]
    if chains > n:
        raise check.InputError(f"chains must be <= {n}, the number of samples, got {chains}. Increase samples")
    each = math.ceil(n / chains)
    steps = STEPS_PER_SAMPLE * each if steps == "auto" else steps
    if isinstance(steps, int) and steps < each:
        raise check.InputError(
            f"steps must be >= {each} for {n} samples of {chains} chains, got {steps}. Decrease samples"
        )
    thin = max(1, steps // each // DRAWS_PER_SAMPLE)
    return SamplingPlan(chains=chains, steps=steps, burn_in=burn_in, thin=thin)


def draw_samples(context: EvaluationContext, parts: Parts, x: Tensor, plan: SamplingPlan, run: Run) -> None:
    """Save pictures of samples and of held-out rows, if their shape can be drawn."""
    if not figure.can_show(parts.event) or parts.data is None or context.held_out is None:
        return
    rows = parts.data.decode(context.held_out.x)
    drawn = figure.states(parts.data.decode(x), parts.event, like=rows)
    real = figure.states(rows, parts.event)
    what = "Final states" if plan.thin == plan.steps else "Draws"
    length = f"{what} of {plan.chains} chains of {plan.steps} steps, unselected, at T = {context.temperature:g}."
    compared = context.held_out_name[:1].upper() + context.held_out_name[1:]
    figure.save(
        run,
        denoised_figure(parts, x)
        | {
            "samples": (drawn, f"{length} Look for samples like the held-out rows."),
            "held_out": (real, f"{compared} with the same noise, for comparison."),
        },
    )
