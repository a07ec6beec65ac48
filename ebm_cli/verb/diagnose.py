"""`ebm diagnose`: the convergence of chains, of a run or of anyone's file."""

from functools import partial
from pathlib import Path

from ebm_cli import figure
from ebm_cli.assembly.build import Config
from ebm_cli.assembly.data_record import read_data_record
from ebm_cli.assembly.parts import assemble, load_weights
from ebm_cli.chain import chain_file
from ebm_cli.check import InputError
from ebm_cli.diagnostic import ChainContext, Diagnostic, SharedResults
from ebm_cli.estimate import Estimate, apply_mixing_verdict
from ebm_cli.mixing.figure import pictures
from ebm_cli.mixing.record import read_record
from ebm_cli.mixing.sampler_metrics import with_tuned_values
from ebm_cli.mixing.verdict import assess_mixing
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import resolve
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampling.figures import energy_trace
from ebm_cli.sampling.results import build_list, run_each


def diagnose(config: Config, run: Run, terminal: Terminal, sampled: Run | Path) -> dict[str, Estimate]:
    """Compute every diagnostic that `config` names on the chains of a sample run, or of a file."""
    diagnostics: dict[str, Diagnostic] = build_list(config, "diagnostic")
    place = resolve(config["device"], config["dtype"], config["threads"])
    with place.used():
        path = sampled.folder / "chains.nc" if isinstance(sampled, Run) else sampled
        chains = chain_file.read(path)
        mixing, shared = read_record(path) or (None, SharedResults())
        context = ChainContext(chains, shared=shared)
        if isinstance(sampled, Run):
            context = context_of(sampled, context, config)
        elif chains.potential is not None and chains.x.shape[1] > 1:
            figure.save(run, {"energy": energy_trace(chains)})
        terminal.say("chains: {} × {} draws of shape {}".format(*chains.x.shape[:2], list(chains.event)))
        mixing = mixing or assess_mixing(context, config["seed"], terminal.stopping)
        for note in [*chains.notes, *mixing.notes]:
            terminal.say(note)
        figure.save(run, pictures(context, mixing))
        actions = {name: partial(diagnostic, context) for name, diagnostic in diagnostics.items()}
        strict = "diagnostic" in config["made"]["chosen"]
        estimates = run_each(run, actions, "diagnostic", terminal, strict)
        return apply_mixing_verdict({"mixing": mixing.estimate} | estimates)


def context_of(sampled: Run, context: ChainContext, config: Config) -> ChainContext:
    """Return the chains with the energy and the sampler that they followed, as these were then."""
    origin = sampled.config()
    machine = {key: config[key] for key in ("device", "threads")}
    trained = Run(Path(origin["run"])) if origin.get("run") else None
    record = None if trained is None else read_data_record(trained)
    parts = assemble(origin | machine | {"objective": None, "engine": "eager"}, record)
    history = []
    if trained is not None:
        if not trained.folder.is_dir():
            raise InputError(f"the training run of these chains, {trained.folder}, no longer exists")
        load_weights(parts.energy, trained, str(origin["checkpoint"]), origin["weights"])
        history = trained.history()
    sampler = with_tuned_values(parts.sampler, sampled.whole_metrics())
    return ChainContext(
        context.chains,
        parts.energy,
        sampler.temperature,
        sampler,
        parts.start,
        parts.data,
        history,
        context.shared,
    )
