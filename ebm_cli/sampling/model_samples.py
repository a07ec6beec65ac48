"""Samples of the model that metrics compare with data: final states of new chains."""

import dataclasses
import math

import torch
from torch import Tensor

from ebm_cli import check, figure, rng
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.metric import EvaluationContext
from ebm_cli.run.folder import Run
from ebm_cli.run.terminal import Stopped, Terminal, WorkFailed
from ebm_cli.run.writing import write_array
from ebm_cli.sampler.tempering import has_exact_draws
from ebm_cli.sampling.figures import denoised_figure
from ebm_cli.sampling.fresh_chains import initial_states, record_chains, tuning_of
from ebm_cli.sampling.sampler_choice import SamplerChoice, choose_sampler
from ebm_cli.sampling.sampling_plan import SamplingPlan

# steps=auto: steps before the final state of a chain; and chains and steps between draws of replica exchange.
FINAL_STATE_STEPS = 1000
REPLICA_CHAINS, STEPS_PER_DRAW = 24, 20
NEEDS_DATA = "data must be chosen for metrics that compare samples: run=RUN of a trained model, or data=NAME"


def with_samples(
    context: EvaluationContext, config: Config, parts: Parts, trained: Run | None, terminal: Terminal, run: Run
) -> EvaluationContext:
    """Return the context with the final states of new chains. Diverged chains are left out with a warning."""
    if context.held_out is None:
        raise check.InputError(NEEDS_DATA)
    n = config["samples"] if config["samples"] is not None else len(context.held_out.x)
    check.count("samples", n, minimum=2)
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
    samples = recorded.trajectory.x.flatten(0, 1)[-n:]
    finite = torch.isfinite(samples.flatten(1)).all(1)
    broken = f"{int((~finite).sum())} of {n} samples are not finite, because their chains diverged"
    if int(finite.sum()) < 2:
        raise WorkFailed(f"{broken}. Decrease sampler.step_size, or type start=data")
    write_array(run.folder / "samples.npy", samples.cpu().numpy())
    draw_samples(context, choice.parts, samples[finite], plan, run)
    warnings = () if bool(finite.all()) else (f"{broken}; they are left out",)
    return dataclasses.replace(context, samples=samples[finite], warnings=warnings)


def sample_plan(config: Config, choice: SamplerChoice, n: int, is_tuned: bool) -> SamplingPlan:
    """Return the chains whose draws are n samples: their final states, or several draws of replica exchange.

    States that come from exact draws are independent of all before, so that one chain of replica exchange gives many
    samples; chains of other samplers may stay in one mode.
    """
    # Without tuning, the steps before the final state are burn-in enough.
    burn_in = 0 if config["burn_in"] == "auto" and not is_tuned else config["burn_in"]
    sampler, steps = choice.parts.sampler, config["steps"]
    if not has_exact_draws(sampler):
        steps = FINAL_STATE_STEPS if steps == "auto" else steps
        return SamplingPlan(chains=n, steps=steps, burn_in=burn_in, thin=steps)
    chains = min(n, REPLICA_CHAINS)
    draws = math.ceil(n / chains)
    steps = STEPS_PER_DRAW * draws if steps == "auto" else steps
    if isinstance(steps, int) and steps < draws:
        raise check.InputError(
            f"steps must be >= {draws} for {n} samples of {chains} chains, got {steps}. Decrease samples"
        )
    return SamplingPlan(chains=chains, steps=steps, burn_in=burn_in, thin=steps // draws)


def draw_samples(context: EvaluationContext, parts: Parts, x: Tensor, plan: SamplingPlan, run: Run) -> None:
    """Save pictures of samples and of held-out rows, if their shape can be drawn."""
    if not figure.can_show(parts.event) or parts.data is None or context.held_out is None:
        return
    rows = parts.data.decode(context.held_out.x)
    drawn = figure.states(parts.data.decode(x), parts.event, like=rows)
    real = figure.states(rows, parts.event)
    length = f"Draws of {plan.chains} chains of {plan.steps} steps, unselected, at T = {context.temperature:g}."
    compared = context.held_out_name[:1].upper() + context.held_out_name[1:]
    figure.save(
        run,
        denoised_figure(parts, x)
        | {
            "samples": (drawn, f"{length} Look for samples like the held-out rows."),
            "held_out": (real, f"{compared} with the same noise, for comparison."),
        },
    )
