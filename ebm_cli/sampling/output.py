"""The files of a sample run: chains and final states, also in the data's own form."""

import csv
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ebm_cli import __version__
from ebm_cli.assembly.components import Parts
from ebm_cli.chain import chain_file
from ebm_cli.chain.chains import Chains
from ebm_cli.data import is_image
from ebm_cli.run.folder import Run
from ebm_cli.run.writing import write_array


def write_chains(run: Run, parts: Parts, chains: Chains, last: Tensor) -> Path:
    """Write chains.nc, samples.npy and, in the data's own form, samples.csv or samples/*.png. Return chains.nc."""
    path, temperature = run.folder / "chains.nc", parts.sampler.temperature
    chain_file.write(path, chains, temperature, {"ebm_version": __version__, "temperature": str(temperature)})
    write_array(run.folder / "samples.npy", last.cpu().numpy())
    columns = getattr(parts.data, "columns", None)
    if columns is not None and parts.data is not None:
        with (run.folder / "samples.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, *parts.data.decode(last).tolist()])
    if parts.data is not None and is_image(parts.event):
        finite = torch.isfinite(last.flatten(1)).all(1)
        write_images(run.folder / "samples", parts.data.decode(last), finite)
    return path


def write_images(folder: Path, images: np.ndarray, finite: Tensor) -> None:
    """Write 0000.png, 0001.png, …: the final state of every finite chain by its number.

    images: (n, height, width) or (n, height, width, 3) in [0, 1].
    """
    from PIL import Image

    folder.mkdir()
    for chain in finite.nonzero().flatten().tolist():
        levels = (images[chain] * 255).round().astype(np.uint8)
        Image.fromarray(levels).save(folder / f"{chain:04d}.png")
