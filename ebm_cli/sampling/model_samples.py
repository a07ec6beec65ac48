"""Samples of the model that metrics compare with data: final states of new chains."""

import dataclasses

import torch
from torch import Tensor

from ebm_cli import check, figure, rng
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.metric import EvaluationContext
from ebm_cli.run.folder import Run
from ebm_cli.run.terminal import Stopped, Terminal, WorkFailed
from ebm_cli.run.writing import write_array
from ebm_cli.sampling.figures import denoised_figure
from ebm_cli.sampling.fresh_chains import initial_states, record_chains, tuning_of
from ebm_cli.sampling.sampling_plan import SamplingPlan

NEEDS_DATA = "data must be chosen for metrics that compare samples: run=RUN of a trained model, or data=NAME"


def with_samples(
    context: EvaluationContext, config: Config, parts: Parts, trained: Run | None, terminal: Terminal, run: Run
) -> EvaluationContext:
    """Return the context with the final states of new chains. Diverged chains are left out with a warning."""
    if context.held_out is None:
        raise check.InputError(NEEDS_DATA)
    n = config["samples"] if config["samples"] is not None else len(context.held_out.x)
    check.count("samples", n, least=2)
    tuning = tuning_of(config, parts.sampler, config["burn_in"])
    # Only the final states are used. Therefore burn-in is needed only for tuning.
    burn_in = 0 if config["burn_in"] == "auto" and tuning.adapt == "none" else config["burn_in"]
    plan = SamplingPlan(chains=n, steps=config["steps"], burn_in=burn_in, thin=config["steps"])
    generator = rng.generator(config["seed"], "chains", parts.machine.device)
    x = initial_states(config, parts, trained, n, generator)
    recorded = record_chains(parts, x, plan, tuning, generator, terminal)
    run.write_config(
        run.config() | {key: value for key, value in recorded.resolved_values(tuning).items() if key in config}
    )
    if terminal.stopping():
        raise Stopped(f"stopped while drawing samples; nothing was evaluated in {run.folder}")
    last = recorded.trajectory.last.x
    finite = torch.isfinite(last.flatten(1)).all(1)
    broken = f"{int((~finite).sum())} of {n} chains became not finite"
    if int(finite.sum()) < 2:
        raise WorkFailed(f"{broken}. Decrease sampler.step_size, or type start=data")
    write_array(run.folder / "samples.npy", last.cpu().numpy())
    draw_samples(context, config, parts, last[finite], run)
    warnings = () if bool(finite.all()) else (f"{broken} and are left out",)
    return dataclasses.replace(context, samples=last[finite], warnings=warnings)


def draw_samples(context: EvaluationContext, config: Config, parts: Parts, x: Tensor, run: Run) -> None:
    """Save pictures of samples and of held-out rows, if their shape can be drawn."""
    if not figure.can_show(parts.event) or parts.data is None or context.held_out is None:
        return
    rows = parts.data.decode(context.held_out.x)
    drawn = figure.states(parts.data.decode(x), parts.event, like=rows)
    real = figure.states(rows, parts.event)
    length = f"Final states of {config['steps']}-step chains of the model, unselected, at T = {context.temperature:g}."
    compared = context.held_out_name[:1].upper() + context.held_out_name[1:]
    figure.save(
        run,
        denoised_figure(parts, x)
        | {
            "samples": (drawn, f"{length} Look for samples like the held-out rows."),
            "held_out": (real, f"{compared} with the same noise, for comparison."),
        },
    )
