"""`ebm diagnose`: the health of chains alone, of a run's or of anyone's file."""

from pathlib import Path

from ebm_cli import figure
from ebm_cli.assembly.permission import Config
from ebm_cli.assembly.trained_run import assemble_trained
from ebm_cli.chain import chain_file
from ebm_cli.chain.chain_file import JUDGED, Chains
from ebm_cli.chain.screening import screen
from ebm_cli.check import InputError
from ebm_cli.diagnostic import Diagnostic, Patient
from ebm_cli.estimate import Estimate, apply_mixing_verdict, from_json
from ebm_cli.mixing.convergence import evidence
from ebm_cli.mixing.sampler_metrics import as_tuned
from ebm_cli.mixing.verdict import Judged, judge, pictures
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import Machine, resolve
from ebm_cli.run.terminal import Terminal
from ebm_cli.sampling.figures import energy_trace
from ebm_cli.verb.evaluate import findings, make_list


def diagnose(config: Config, run: Run, terminal: Terminal, sampled: Run | Path) -> dict[str, Estimate]:
    """Compute every diagnostic that `config` names on the chains of a sample run, or on a file's."""
    diagnostics: dict[str, Diagnostic] = make_list(config, "diagnostic")
    place = resolve(config["device"], config["dtype"], config["threads"])
    with place.used():
        if isinstance(sampled, Run):
            path = sampled.folder / "chains.nc"
            chains = chain_file.read(path)
            patient = with_energy(chains, sampled, place, terminal)
        else:
            path = sampled
            chains = chain_file.read(path)
            patient = Patient(chains)
            if chains.potential is not None and chains.x.shape[1] > 1:
                figure.save(run, {"energy": energy_trace(chains)})
        terminal.say("chains: {} × {} draws of shape {}".format(*chains.x.shape[:2], list(chains.event)))
        for note in chains.notes:
            terminal.say(note)
        judged = judged_before(path, chains) or judge(patient, config["seed"], terminal.stopping)
        for note in judged.notes:
            terminal.say(note)
        figure.save(run, pictures(patient, judged))
        actions = {name: lambda d=d: d(patient) for name, d in diagnostics.items()}
        strict = "diagnostic" in config["made"]["chosen"]
        return apply_mixing_verdict(
            {"mixing": judged.estimate} | findings(run, actions, "diagnostic", terminal, strict)
        )


def judged_before(path: Path, chains: Chains) -> Judged | None:
    """What `ebm sample` found on the mixing of these very chains; None if it did not judge them as they are now."""
    record = path.with_name(JUDGED)
    try:
        if path.suffix != ".nc" or record.read_text().strip() != chain_file.fingerprint(path):
            return None
        estimate = from_json(Run(path.parent).metrics()["mixing"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    good = screen(chains).good
    worst = "" if good is None else evidence(good).worst
    return Judged(estimate, [f"mixing: as ebm sample found it in {path.parent}"], worst)


def with_energy(chains: Chains, sampled: Run, place: Machine, terminal: Terminal) -> Patient:
    """Return the chains of a sample run with the energy and the sampler that they followed, as these were then."""
    origin = sampled.config() | {"objective": None, "engine": "eager"}
    trained = Run(Path(origin["run"])) if origin.get("run") else None
    if trained is not None and not trained.folder.is_dir():
        raise InputError(f"run={trained.folder}, which these chains were sampled from, does not exist any more")
    parts = assemble_trained(origin, place, trained, terminal)
    history = [] if trained is None else trained.history()
    sampler = as_tuned(parts.sampler, sampled.whole_metrics())
    return Patient(chains, parts.energy, sampler.temperature, sampler, parts.start, parts.data, history)
