"""Pictures of a sample run: the energies and the final states of its chains."""

import shutil

import numpy as np
import torch
from torch import Tensor

from ebm_cli import figure
from ebm_cli.assembly.components import Parts
from ebm_cli.chain.chains import Chains, evenly_spaced
from ebm_cli.chain.loop import Trajectory
from ebm_cli.data import _angles, is_image
from ebm_cli.data._rows import noisy_available_rows
from ebm_cli.energy import DISCRETE, energy_and_grad, frozen, space_of
from ebm_cli.estimate import Picture
from ebm_cli.figure.columns import marginals, pairs
from ebm_cli.figure.landscape import landscape
from ebm_cli.mixing.replica_metrics import barrier_figure
from ebm_cli.run.folder import Run
from ebm_cli.sampler.tempering import has_exact_draws
from ebm_cli.sampling.picture_grid import PictureGrid
from ebm_cli.sampling.site_figures import site_picture

MAX_TRACES = 64
# Draws whose nearest training rows are shown, and how many of these.
DRAWS_SHOWN, NEIGHBORS = 10, 3


def energy_trace(chains: Chains) -> Picture:
    """Draw the energy of every chain over kernel steps."""
    assert chains.potential is not None
    picture, (axes,) = figure.new()
    steps = (np.arange(chains.x.shape[1]) + 1) * chains.thin
    for trace in chains.potential[:MAX_TRACES]:
        axes.plot(steps, trace, color=figure.BLUE, alpha=0.15, linewidth=0.7)
    finite = np.where(np.isfinite(chains.potential), chains.potential, np.nan)
    axes.plot(steps, np.nanmedian(finite, axis=0), color=figure.RED, linewidth=1.6, label="median over chains")
    axes.set(xlabel="kernel steps after burn-in", ylabel="energy E")
    later = finite[:, finite.shape[1] // 10 :]
    if np.isfinite(later).any():
        # The high energies of chains that start at noise would flatten the rest.
        axes.set_ylim(figure.padded_limits(later))
    axes.legend()
    half = np.nanmedian(finite[:, finite.shape[1] // 2 :])
    return picture, (
        f"Energy of up to {MAX_TRACES} chains. The median over their last half is {half:.4g}. The axis is cut to the "
        "values after the first tenth. Look for one flat band without a trend or a chain outside it."
    )


def copy_grid(run: Run) -> None:
    """Copy the picture of the final states, if any, next to samples.npy."""
    drawn = run.figures / "samples.png"
    if drawn.exists():
        shutil.copyfile(drawn, run.folder / "samples.png")


def state_figures(parts: Parts, trajectory: Trajectory, shape: PictureGrid) -> dict[str, Picture]:
    """Draw states of the model: columns, a grid of images, or points over the energy's contours."""
    x, which = shown_states(trajectory, shape.cells)
    finite = x[torch.isfinite(x.flatten(1)).all(1)]
    T = parts.sampler.temperature
    if len(finite) and shows_sites(parts):
        return {"samples": site_picture(parts, finite, which)}
    if len(finite) and len(parts.event) == 1 and (parts.event[0] > 2 or hasattr(parts.data, "columns")):
        drawn = column_figures(parts, finite)
        return drawn if parts.event[0] != 2 else drawn | {"samples": plane_picture(parts, finite)}
    if not len(finite) or not figure.can_show(parts.event):
        return {}
    if parts.event == (2,):
        return {"samples": plane_picture(parts, finite)}
    shown = parts.data.decode(finite) if parts.data is not None else finite.cpu().numpy()
    if is_image(parts.event) and parts.data is None:
        shown = figure.as_pictures(shown)
    drawn = {
        "samples": (
            figure.states(shown, parts.event, shape.cells, columns=shape.columns),
            f"{which} (at most {shape.cells}), not selected, at T = {T:g}. They should look like the data.",
        )
    }
    return drawn | neighbors_figure(parts, finite) | denoised_figure(parts, finite)


def shows_sites(parts: Parts) -> bool:
    """Return True for discrete states, and for angles on a lattice, that no data set can show better."""
    is_table = hasattr(parts.data, "columns")
    has_pictures = parts.data is not None and is_image(parts.event)
    has_sites = space_of(parts.energy) in (DISCRETE if len(parts.event) == 1 else DISCRETE | {_angles.SPACE})
    return has_sites and not has_pictures and not is_table


def shown_states(trajectory: Trajectory, count: int) -> tuple[Tensor, str]:
    """Return the states that figures show, and which they are.

    These are the final states of chains. Few chains of replica exchange from exact draws show several draws each, which
    are independent of each other if they are far apart.

    count: number of states to show.
    """
    sampler, last = trajectory.sampler, trajectory.last.x
    each = min(len(trajectory.x), -(-count // max(len(last), 1)))
    if each < 2 or not has_exact_draws(sampler):
        return last, f"Final states of {len(last)} chains"
    draws = trajectory.x[evenly_spaced(len(trajectory.x), each + 1)[1:]]
    return draws.flatten(0, 1), f"{each} draws of each of {len(last)} chains, evenly spaced along them"


def replica_figures(trajectory: Trajectory) -> dict[str, Picture]:
    """Draw the communication barrier of replica exchange, if that moved the chains."""
    return {} if trajectory.replicas is None else {"replicas": barrier_figure(trajectory.replicas)}


def plane_picture(parts: Parts, x: Tensor) -> Picture:
    """Draw states in the plane, next to the densities of data and model."""
    return landscape(parts.energy, parts.sampler.temperature, parts.data, x.double().cpu().numpy())


def in_units(parts: Parts, x: Tensor) -> np.ndarray:
    """Return states in the units of the data, if there are data."""
    return x.double().cpu().numpy() if parts.data is None else parts.data.decode(x)


def column_figures(parts: Parts, x: Tensor) -> dict[str, Picture]:
    """Draw columns and pairs of columns, in the data's own units and next to the data."""
    data, shown = parts.data, in_units(parts, x)
    rows = None if data is None else data.decode(noisy_available_rows(data, 0).x)
    names = list(getattr(data, "columns", [f"x[{i}]" for i in range(shown.shape[1])]))
    limits = None
    if space_of(parts.energy) == _angles.SPACE:
        half = float(in_units(parts, torch.full_like(x[:1], np.pi)).max())
        limits = (-half, half)
    drawn = {"marginals": marginals(names, shown, rows, limits)}
    return {"samples": pairs(names, shown, rows, limits)} | drawn if len(names) > 1 else drawn


def neighbors_figure(parts: Parts, x: Tensor) -> dict[str, Picture]:
    """Draw the first images next to the training rows nearest to them, if the training rows are a finite list."""
    if parts.data is None or not parts.data.finite or not is_image(parts.event):
        return {}
    batch = parts.data.split("train")
    rows = (batch.x if batch.clean is None else batch.clean).to(x)
    shown = x[:DRAWS_SHOWN]
    away = torch.cdist(shown.flatten(1), rows.flatten(1))
    nearest = rows[away.topk(NEIGHBORS, largest=False).indices.T]
    lines = [shown, *nearest]
    pictures = np.concatenate([parts.data.decode(line) for line in lines])
    return {
        "neighbors": (
            figure.grid(pictures, columns=len(shown)),
            f"The first {len(shown)} states, not selected (top), and the {NEIGHBORS} training rows nearest to each "
            "(below, the nearest first). States that are copies of training rows would show memorization.",
        )
    }


def denoised_figure(parts: Parts, x: Tensor) -> dict[str, Picture]:
    """Draw images without their noise: x − σ²∇E(x)/T, the mean of the noise-free image given x under the model.

    Robbins, 1956, with Tweedie's formula (Efron, 2011). σ is the noise of the training data.
    """
    data, T = parts.data, parts.sampler.temperature
    if data is None or not data.noise or not T or not is_image(parts.event):
        return {}
    with frozen(parts.energy):
        _, grad = energy_and_grad(parts.energy, x)
    clean = figure.states(data.decode(x - data.noise**2 * grad / T), parts.event)
    caption = (
        f"The same states after one denoising step with the model, x − σ²∇E(x)/T (σ = {data.noise:g}). Look for images "
        "that are easy to recognize."
    )
    return {"denoised": (clean, caption)}
