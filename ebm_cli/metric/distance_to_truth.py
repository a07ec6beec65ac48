"""Distance to the truth in one or two dimensions: the model's density itself against the data's, by quadrature."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ebm_cli import check, figure
from ebm_cli.check import InputError
from ebm_cli.data import KnownDensity
from ebm_cli.energy import device_of
from ebm_cli.estimate import Estimate, refused
from ebm_cli.figure.finding import Finding
from ebm_cli.metric import Subject

OUTSIDE_MASS = 1e-4


class DistanceToTruth:
    """kl = ∫ p log(p/q) dx in nats and tv = ½∫ |p − q| dx, p the data's density, q = exp(−E/T)/Z.

    Both by the midpoint rule on a square grid around the data, grown until it holds all but 0.01 % of the model's mass;
    no chains are run. lower and upper are the values at half the resolution and at full, the larger of the two
    last; refused when they differ by more than 1 % of tv's range or when no box holds the model.

    resolution: cells a side ≥ 32.
    """

    needs_samples = False

    def __init__(self, resolution: int) -> None:
        check.count("resolution", resolution, least=32)
        self.resolution = resolution

    def __call__(self, subject: Subject) -> Finding:
        data = subject.data
        if data is None or not isinstance(data, KnownDensity):
            raise InputError("needs data whose density is known: a synthetic set such as data=gaussians_8")
        if len(data.event) != 1 or data.event[0] > 2:
            raise InputError(f"works in one or two dimensions, got event={list(data.event)}")
        if subject.temperature == 0:
            raise InputError("needs temperature > 0: at 0 the model is a point")
        box = self._box(subject)
        if box is None:
            reason = "the model's mass does not fit any box up to 30 times the data's: raise energy.confinement"
            return Finding({"kl": refused(reason, "nats"), "tv": refused(reason)})
        p, q, cell, _ = densities(subject, box, self.resolution)
        coarse_p, coarse_q, coarse_cell, _ = densities(subject, box, self.resolution // 2)
        kl, tv = divergence(p, q, cell)
        coarse_kl, coarse_tv = divergence(coarse_p, coarse_q, coarse_cell)
        if abs(tv - coarse_tv) > 0.01:
            reason = (
                f"two resolutions disagree, tv {tv:.3f} and {coarse_tv:.3f}: raise metric.distance_to_truth.resolution"
            )
            return Finding({"kl": refused(reason, "nats"), "tv": refused(reason)})
        estimates = {
            "kl": Estimate(
                kl,
                lower=min(kl, coarse_kl),
                upper=max(kl, coarse_kl),
                unit="nats",
                meaning=f"a data point is {kl:.2g} nats less likely under the model than it could be (0 is perfect)",
            ),
            "tv": Estimate(
                tv,
                lower=min(tv, coarse_tv),
                upper=max(tv, coarse_tv),
                meaning=f"model and data differ in {100 * tv:.2g} % of their mass (0 % is perfect)",
            ),
        }
        caption = (
            f"Density of the data (left) and of the model (right): tv {tv:.3f}, kl {kl:.3f} nats. "
            "Good: no visible difference."
        )
        near = visible(p, q.exp(), box, self.resolution)
        p, q, *_ = densities(subject, near, self.resolution)
        return Finding(estimates, picture(p, q.exp(), near, self.resolution), caption)

    def _box(self, subject: Subject) -> list[tuple[float, float]] | None:
        """Sides that hold data and model, None when none does."""
        assert subject.held_out is not None
        x = subject.held_out.x
        middle, half = (x.amax(0) + x.amin(0)) / 2, (x.amax(0) - x.amin(0)) / 2
        for factor in (1.3, 2.0, 4.0, 8.0, 15.0, 30.0):
            box = [(float(m - factor * h), float(m + factor * h)) for m, h in zip(middle, half, strict=True)]
            wide = [(float(m - 2 * factor * h), float(m + 2 * factor * h)) for m, h in zip(middle, half, strict=True)]
            _, log_q, cell, outer = densities(subject, wide, 256)
            if float(log_q[outer].exp().sum() * cell) < OUTSIDE_MASS:
                return box
        return None


def densities(
    subject: Subject, box: list[tuple[float, float]], size: int
) -> tuple[Float[Tensor, " cells"], Float[Tensor, " cells"], float, Tensor]:
    """p and q at the midpoints of a grid (q normalised over it), the cell's volume, and which cells are at the edge."""
    assert isinstance(subject.data, KnownDensity)
    sides = [torch.linspace(low, high, 2 * size + 1, dtype=torch.float64)[1::2] for low, high in box]
    points = torch.stack([side.flatten() for side in torch.meshgrid(*sides, indexing="ij")], 1)
    cell = float(np.prod([(high - low) / size for low, high in box]))
    here = device_of(subject.energy)
    parts = points.to(dtype=torch.get_default_dtype(), device=here).split(65536)
    with torch.no_grad():
        e = torch.cat([subject.energy(part) for part in parts]).double().cpu()
        log_p = torch.cat([subject.data.log_prob(part) for part in points.split(8192)]).double()
    log_q = -e / subject.temperature
    log_q = log_q - torch.logsumexp(log_q, 0) - np.log(cell)
    index = torch.stack([i.flatten() for i in torch.meshgrid(*[torch.arange(size)] * len(box), indexing="ij")], 1)
    outer = ((index < size // 4) | (index >= size - size // 4)).any(1)
    return log_p.exp(), log_q, cell, outer


def divergence(p: Float[Tensor, " cells"], log_q: Float[Tensor, " cells"], cell: float) -> tuple[float, float]:
    """KL(p‖q) and TV(p, q) on a grid; p renormalised over it."""
    p = p / (p.sum() * cell)
    inside = p > 0
    kl = (p[inside] * (p[inside].log() - log_q[inside])).sum() * cell
    return float(kl), float(0.5 * (p - log_q.exp()).abs().sum() * cell)


def visible(p: Tensor, q: Tensor, box: list[tuple[float, float]], size: int) -> list[tuple[float, float]]:
    """The window of the picture: around all but 0.1 % of the data and, as far as `figure.window` lets it, the model."""
    ends = []
    for density in (p, q):
        mass = (density / density.sum()).reshape([size] * len(box))
        sides = [mass.sum([other for other in range(len(box)) if other != axis] or None) for axis in range(len(box))]
        share = [(side if len(box) > 1 else mass).cumsum(0) for side in sides]
        ends.append([[int(torch.searchsorted(each, level)) / size for each in share] for level in (0.0005, 0.9995)])
    edges = np.array(box)
    corners = [edges[:, 0] + np.array(each) * (edges[:, 1] - edges[:, 0]) for each in ends]
    low, high = figure.window(corners[0], corners[1])
    return list(zip(low.tolist(), high.tolist(), strict=True))


def picture(p: Tensor, q: Tensor, box: list[tuple[float, float]], size: int) -> "figure.Figure":
    """Both densities, side by side in the plane, over each other on the line."""
    if len(box) == 1:
        drawn, (axes,) = figure.new()
        x = np.linspace(*box[0], size)
        axes.plot(x, p.cpu().numpy(), color=figure.BLUE, label="data")
        axes.plot(x, q.cpu().numpy(), color=figure.RED, linestyle="--", label="model")
        axes.set(xlabel="x", ylabel="density")
        axes.legend()
        return drawn
    tall = (box[1][1] - box[1][0]) / (box[0][1] - box[0][0])
    drawn, both = figure.new(2, width=7.6, height=min(max(2.9 * tall, 1.2), 6.0) + 0.8)
    top = float(p.max())
    sides = [np.linspace(*side, size) for side in box]
    for axes, density, title in zip(both, (p, q), ("data", "model"), strict=True):
        shape = density.cpu().numpy().reshape(size, size).T
        axes.pcolormesh(*sides, shape, vmin=0, vmax=top, cmap="cividis", rasterized=True)
        axes.set(title=title, xlabel="x₁", ylabel="x₂", aspect="equal")
        axes.grid(False)
    drawn.colorbar(both[0].collections[0], ax=both, label="density")
    return drawn
