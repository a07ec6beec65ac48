"""`ebm sample`: chains from a trained run, or from an energy that needs no training."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ebm_cli import __version__, check, figure, rng
from ebm_cli.assembly.components import Parts
from ebm_cli.assembly.permission import Config
from ebm_cli.assembly.trained_run import assemble_trained
from ebm_cli.chain import chain_file
from ebm_cli.chain.chain_file import JUDGED, Chains
from ebm_cli.chain.loop import Trajectory
from ebm_cli.chain.screening import Screened, screen
from ebm_cli.diagnostic import Patient, unit_of
from ebm_cli.diagnostic.ess import ESS, LEAST_ESS
from ebm_cli.diagnostic.r_hat import RHat
from ebm_cli.estimate import Estimate, IfNotMixed, apply_mixing_verdict, refused
from ebm_cli.mixing import tail_index as tails
from ebm_cli.mixing.sampler_metrics import kernel_rows, said
from ebm_cli.mixing.verdict import judge
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import resolve
from ebm_cli.run.terminal import Stopped, Terminal, WorkFailed
from ebm_cli.run.writing import write_array
from ebm_cli.sampling.figures import copy_grid, energy_trace, state_figures
from ebm_cli.sampling.fresh_chains import LENGTH, Length, move, start_at, to_chains, tuning_of
from ebm_cli.sampling.plain_sampler import plain_if_one_well

SMALL = 16


def sample(config: Config, run: Run, terminal: Terminal, trained: Run | None = None) -> dict[str, Estimate]:
    """Run chains as `config` says and leave chains.nc, samples.npy and figures in `run`'s folder.

    trained: the training run whose weights to use. Raises WorkFailed when no chain stays finite; Stopped after
    a signal, the draws so far saved.
    """
    place = resolve(config["device"], config["dtype"], config["threads"])
    with place.used():
        problems = check.Problems()
        with problems.under():
            length = Length(**{name: config[name] for name in LENGTH})
        with problems.under():
            parts = assemble_trained(config, place, trained, terminal)
        problems.finish()
        compiled = [] if parts.engine == "eager" else [f"engine: {parts.engine}"]
        for note in [*parts.notes, *compiled]:
            terminal.say(note)
        generator = rng.generator(config["seed"], "chains", place.device)
        x = start_at(config, parts, trained, length.chains, generator)
        parts, sampler = plain_if_one_well(parts, config, x, terminal)
        tuning = tuning_of(config, parts.sampler, length.burn_in)
        moved = move(parts, x, length, tuning, generator, terminal)
        trajectory = moved.trajectory
        if terminal.stopping() and not len(trajectory.x):
            raise Stopped(f"stopped after {trajectory.steps} steps, before a draw was kept; {run.folder} holds none")
        run.write_config(run.config() | sampler | moved.chosen(tuning))
        chains = to_chains(trajectory, moved.thin)
        written = write(run, parts, chains, trajectory.last.x)
        screened = screen(chains)
        if screened.good is None and all(trajectory.broke >= 0):
            raise WorkFailed(all_broke(trajectory))
        rows = kernel_rows(trajectory, parts.energy, chains, tuning, generator)
        if line := said(rows):
            terminal.say(line)
        parts = dataclasses.replace(parts, sampler=trajectory.sampler)
        estimates = describe(chains, screened) | mixing(config, parts, chains, terminal) | rows
        estimates = apply_mixing_verdict(estimates)
        (run.folder / JUDGED).write_text(written + "\n")
        pictures = state_figures(parts, trajectory)
        if chains.x.shape[1] > 1:
            pictures["energy"] = energy_trace(chains)
        figure.save(run, pictures)
        copy_grid(run)
    if terminal.stopping():
        run.write_metrics(estimates)
        raise Stopped(f"stopped after {trajectory.steps} steps; the draws so far are in {run.folder}")
    return estimates


def write(run: Run, parts: Parts, chains: Chains, last: Tensor) -> str:
    """Write chains.nc, samples.npy and, in the data's own form, samples.csv of a table or samples/*.png of pictures.

    Returns the fingerprint of chains.nc.
    """
    chain_file.write(
        run.folder / "chains.nc",
        chains,
        parts.sampler.temperature,
        {"ebm_version": __version__, "temperature": str(parts.sampler.temperature)},
    )
    write_array(run.folder / "samples.npy", last.cpu().numpy())
    columns = getattr(parts.data, "columns", None)
    if columns is not None and parts.data is not None:
        with (run.folder / "samples.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, *parts.data.decode(last).tolist()])
    if parts.data is not None and figure.is_image(parts.event):
        write_pictures(run.folder / "samples", parts.data.decode(last), torch.isfinite(last.flatten(1)).all(1))
    return chain_file.fingerprint(run.folder / "chains.nc")


def write_pictures(folder: Path, pictures: np.ndarray, finite: Tensor) -> None:
    """0000.png, 0001.png, …: the final state of every chain by its number, none where it is not finite.

    pictures: (n, height, width) or (n, height, width, 3) in [0, 1].
    """
    from PIL import Image

    folder.mkdir()
    for chain in finite.nonzero().flatten().tolist():
        levels = (pictures[chain] * 255).round().astype(np.uint8)
        Image.fromarray(levels).save(folder / f"{chain:04d}.png")


def all_broke(trajectory: Trajectory) -> str:
    """Why a run without one finite chain failed, and what helps."""
    first = int(trajectory.broke.min())
    chain = int(trajectory.broke.argmin())
    return (
        f"all {len(trajectory.broke)} chains became not finite, chain {chain} first, at step {first}; what usually "
        "helps: a lower sampler.step_size, a start nearer to the data (start=data), energy.confinement > 0 in training"
    )


def describe(chains: Chains, screened: Screened) -> dict[str, Estimate]:
    """The sample keys of metrics.json, each from the sound chains alone."""
    if screened.good is None:
        rows = {key: refused(screened.fatal) for key in ("mean", "std", "energy", "acceptance")}
    else:
        good = screened.good
        assert good.potential is not None and good.acceptance is not None
        rows = moments(good, screened.remarks)
        rows["energy"] = over_chains(good.potential.astype(np.float64).mean(1), "refused").with_caution(
            screened.remarks
        )
        acceptance = over_chains(good.acceptance.mean(1), "caution")
        share = acceptance.value if isinstance(acceptance.value, float) else 0.0
        acceptance = acceptance.with_meaning(
            "every step is taken, as the kernel has no test"
            if share == 1
            else f"{100 * share:.1f} % of proposals are accepted"
        )
        rows["acceptance"] = acceptance.with_caution([*screened.remarks, *diverged(good)])
    patient = Patient(chains)
    rows["ess_bulk_min"] = ESS(LEAST_ESS)(patient).estimates["ess_bulk_min"]
    return rows | RHat(mixed=1.01, apart=1.1)(patient).estimates


def diverged(chains: Chains) -> list[str]:
    """A sentence on proposals that were refused for having no finite energy, where there were any."""
    count = 0 if chains.diverging is None else int(chains.diverging.sum())
    if not count:
        return []
    total = chains.x.shape[0] * chains.x.shape[1] * chains.thin
    return [f"{count} of {total} steps met a place without finite energy and refused it; lower sampler.step_size"]


def mixing(config: Config, parts: Parts, chains: Chains, terminal: Terminal) -> dict[str, Estimate]:
    """Whether the chains are mixed; what probing costs is said."""
    patient = Patient(chains, parts.energy, parts.sampler.temperature, parts.sampler, parts.start, parts.data)
    judged = judge(patient, config["seed"], terminal.stopping)
    for note in judged.notes:
        terminal.say(note)
    return {"mixing": judged.estimate}


def moments(chains: Chains, remarks: list[str]) -> dict[str, Estimate]:
    """Mean and standard deviation of every coordinate (of all together for large states), with errors over chains."""
    flat = chains.flat().astype(np.float64)
    # Squares of numbers beyond 1e154 overflow.
    unit = unit_of(flat)
    flat = flat / unit
    if flat.shape[2] > SMALL:
        flat = flat.reshape(len(flat), -1, 1)
    means = flat.mean(1)
    centre = means.mean(0)
    variances = ((flat - centre) ** 2).mean(1)
    n = len(flat)
    std = np.sqrt(variances.mean(0))
    mean_se = means.std(0, ddof=1) / n**0.5
    std_se = variances.std(0, ddof=1) / n**0.5 / (2 * np.maximum(std, 1e-300))

    def shaped(values: np.ndarray) -> float | list[float]:
        values = values * unit
        return float(values[0]) if len(values) == 1 else values.tolist()

    tail = tails.doubts(flat)
    return {
        "mean": Estimate(shaped(centre), se=shaped(mean_se), if_not_mixed="refused").with_caution(
            [*remarks, *tail["mean"]]
        ),
        "std": Estimate(shaped(std), se=shaped(std_se), if_not_mixed="refused").with_caution([*remarks, *tail["std"]]),
    }


def over_chains(values: np.ndarray, if_not_mixed: IfNotMixed) -> Estimate:
    """Mean over independent chains with its standard error."""
    unit = unit_of(values)
    values = values.astype(np.float64) / unit
    mean, se = float(values.mean() * unit), float(values.std(ddof=1) / len(values) ** 0.5 * unit)
    return Estimate(mean, se=se, if_not_mixed=if_not_mixed)
