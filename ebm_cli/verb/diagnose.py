"""`ebm diagnose`: the convergence of chains, of a run or of anyone's file."""

import dataclasses
from functools import partial
from pathlib import Path

from ebm_cli import figure
from ebm_cli.assembly.build import make
from ebm_cli.assembly.permission import Config
from ebm_cli.assembly.spaces import parts_that_fit
from ebm_cli.assembly.trained_run import assemble_trained
from ebm_cli.chain import chain_file
from ebm_cli.check import InputError
from ebm_cli.diagnostic import ChainContext, Diagnostic, SharedResults
from ebm_cli.diagnostic.couplings import has_couplings
from ebm_cli.estimate import Estimate
from ebm_cli.mixing.figure import pictures
from ebm_cli.mixing.record import read_record
from ebm_cli.mixing.sampler_metrics import with_tuned_values
from ebm_cli.mixing.verdict import assess_mixing
from ebm_cli.run import shipped
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import Machine, resolve
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampling.figures import energy_trace
from ebm_cli.sampling.results import build_list, run_actions


def diagnose(config: Config, run: Run, terminal: Terminal, sampled: Run | Path) -> dict[str, Estimate]:
    """Compute every diagnostic that `config` names on the chains of a sample run, or of a file."""
    diagnostics: dict[str, Diagnostic] = build_list(config, "diagnostic")
    strict = "diagnostic" in config["made"]["chosen"]
    machine = resolve(config["device"], config["dtype"], config["threads"])
    with machine.activate():
        path = sampled.folder / "chains.nc" if isinstance(sampled, Run) else sampled
        chains = chain_file.read(path)
        mixing, shared = read_record(path) or (None, SharedResults())
        context = ChainContext(chains, shared=shared)
        if isinstance(sampled, Run):
            context = context_of(sampled, context, machine, terminal)
            model = config | {"energy": sampled.config()["energy"]}
            diagnostics = parts_that_fit("diagnostic", diagnostics, model, context.energy, terminal.say)
            if not strict and has_couplings(context.energy):
                diagnostics |= {"couplings": make(shipped.defaults("ebm_cli.diagnostic.couplings.Couplings"))}
        elif chains.potential is not None and chains.x.shape[1] > 1:
            figure.save(run, {"energy": energy_trace(chains)})
        terminal.say("chains: {} × {} draws of shape {}".format(*chains.x.shape[:2], list(chains.event)))
        mixing = mixing or assess_mixing(context, config["seed"], terminal.stopping)
        for note in [*chains.notes, *mixing.notes]:
            terminal.say(note)
        figure.save(run, pictures(context, mixing))
        actions = {name: partial(diagnostic, context) for name, diagnostic in diagnostics.items()}
        return run_actions(run, actions, "diagnostic", terminal, strict, {"mixing": mixing.estimate})


def context_of(sampled: Run, context: ChainContext, machine: Machine, terminal: Terminal) -> ChainContext:
    """Return the chains with the energy and the sampler that they followed, as these were then."""
    origin = sampled.config() | {"objective": None, "engine": "eager"}
    trained = Run(Path(origin["run"])) if origin.get("run") else None
    if trained is not None and not trained.folder.is_dir():
        raise InputError(f"the training run of these chains, {trained.folder}, no longer exists")
    parts = assemble_trained(origin, machine, trained, terminal)
    sampler = with_tuned_values(parts.sampler, sampled.whole_metrics())
    return dataclasses.replace(
        context,
        energy=parts.energy,
        temperature=sampler.temperature,
        sampler=sampler,
        start=parts.start,
        data=parts.data,
        history=[] if trained is None else trained.history(),
    )
