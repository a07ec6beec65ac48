"""`ebm sample`: chains from a trained run, or from an energy that needs no training."""

import dataclasses

from ebm_cli import figure, rng
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.chain.loop import Trajectory
from ebm_cli.estimate import Estimate, apply_mixing_verdict
from ebm_cli.mixing.record import write_record
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import resolve
from ebm_cli.run.terminal import Stopped, Terminal, WorkFailed
from ebm_cli.sampling.completion import complete
from ebm_cli.sampling.figures import copy_grid, energy_trace, replica_figures, state_figures
from ebm_cli.sampling.film import write_film
from ebm_cli.sampling.fresh_chains import initial_states, record_chains, tuning_of
from ebm_cli.sampling.judged_chains import context_of_chains, judge_chains
from ebm_cli.sampling.model import open_model
from ebm_cli.sampling.order import order_rows
from ebm_cli.sampling.output import write_chains
from ebm_cli.sampling.picture_grid import PictureGrid
from ebm_cli.sampling.sampler_choice import choose_sampler
from ebm_cli.sampling.sampling_plan import SamplingPlan
from ebm_cli.sampling.summary import log_z_row, summarize


def sample(config: Config, run: Run, terminal: Terminal, trained: Run | None = None) -> dict[str, Estimate]:
    """Run chains and write chains.nc, samples.npy and figures to the run's folder.

    trained: the training run whose weights to use.
    Raises WorkFailed if no chain stays finite; Stopped after a signal, with the draws until then saved.
    """
    machine = resolve(config["device"], config["dtype"], config["threads"])
    with machine.activate():
        parts, plan = open_model(config, machine, trained, terminal, lambda: SamplingPlan.from_config(config))
        if config.get("condition") is not None:
            estimates, so_far = complete(config, run, terminal, parts, plan)
        else:
            estimates, so_far = move_chains(config, run, terminal, parts, plan, trained)
    estimates = apply_mixing_verdict(estimates)
    if terminal.stopping():
        run.write_metrics(estimates)
        raise Stopped(so_far)
    return estimates


def move_chains(
    config: Config, run: Run, terminal: Terminal, parts: Parts, plan: SamplingPlan, trained: Run | None
) -> tuple[dict[str, Estimate], str]:
    """Run chains and write their files.

    Return the rows of metrics.json, and what is said if a signal ended the work.
    """
    if parts.engine != "eager":
        terminal.say(f"engine: {parts.engine}")
    generator = rng.generator(config["seed"], "chains", parts.machine.device)
    x = initial_states(config, parts, trained, plan.chains, generator)
    shape = PictureGrid.parse(config.get("grid"))
    if config.get("film") is not None:
        own = rng.generator(config["seed"], "film", parts.machine.device)
        film = write_film(run.folder, config["film"], parts, x, shape, own, terminal)
        terminal.say(f"film: {film.name} shows chains of the run's own sampler from its start")
    choice = choose_sampler(parts, config, x, trained, terminal)
    parts, tuning = choice.parts, tuning_of(config, choice, plan.burn_in)
    recorded = record_chains(parts, plan.shared(choice.x), plan, tuning, generator, terminal)
    trajectory = recorded.trajectory
    if terminal.stopping() and not len(trajectory.x):
        raise Stopped(f"stopped after {trajectory.steps} steps, before a draw was kept; {run.folder} has none")
    run.write_config(run.config() | choice.nodes | recorded.resolved_values(tuning))
    context = context_of_chains(parts, recorded)
    chains_file = write_chains(run, parts, context.chains, trajectory.last.x)
    parts = dataclasses.replace(parts, sampler=trajectory.sampler)
    if context.screened.usable is None and bool((trajectory.first_nonfinite_step >= 0).all()):
        raise WorkFailed(all_diverged(trajectory))
    judged = judge_chains(context, trajectory, tuning, config["seed"], generator, terminal.stopping)
    for note in judged.notes:
        terminal.say(note)
    estimates = (
        summarize(context)
        | order_rows(context)
        | judged.rows
        | log_z_row(trajectory, parts.energy, judged.mixing.estimate)
    )
    write_record(chains_file, judged.mixing, context.shared)
    traces = {"energy": energy_trace(context.chains)} if context.chains.x.shape[1] > 1 else {}
    figure.save(run, state_figures(parts, trajectory, shape) | traces | replica_figures(trajectory))
    copy_grid(run)
    return estimates, f"stopped after {trajectory.steps} steps; the draws so far are in {run.folder}"


def all_diverged(trajectory: Trajectory) -> str:
    """Return why a run without one finite chain failed, and what to do."""
    first = trajectory.first_nonfinite_step
    return (
        f"all {len(first)} chains became not finite, chain {int(first.argmin())} first, at step {int(first.min())}. "
        "Decrease sampler.step_size, start closer to the data (start=data), or train with energy.confinement > 0"
    )
