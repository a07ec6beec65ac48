"""Spurious valleys: places far from every data row where the model puts mass all the same."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor, nn

from ebm_cli import check, figure
from ebm_cli.chain.chain_file import Chains, evenly
from ebm_cli.data import Data
from ebm_cli.data._rows import noisy_available_rows
from ebm_cli.diagnostic import Patient
from ebm_cli.estimate import Estimate, refused
from ebm_cli.figure.finding import Finding
from ebm_cli.rng import generator
from ebm_cli.wells.low_energy import STRATUM, cooled, outposts, repeated
from ebm_cli.wells.modes import Modes, descend, distances, merged, spread_of, states_of, values
from ebm_cli.wells.region_mass import log_mass

ROWS = 2000
FOLLOWED = 500
LOCAL = 200
REGION = 1000
SUSPECTS = 24
BARRIER = 1.0
FEWER = 0.1
DEEPEST = 12


@dataclass(frozen=True)
class Valley:
    """A place where the model has mass and the data have none.

    x: its lowest point. energy: E there. mass: its share of the model's, beside the data's region and other valleys.
    draws: states of the model in it.
    """

    x: Float[Tensor, "*event"]
    energy: float
    mass: float
    draws: Float[Tensor, "n *event"]


@dataclass(frozen=True)
class Search:
    """Where states from far and near came to rest. states: (n, *event) at T; mode: each one's, and of data
    rows, first and last draws of the chains."""

    modes: Modes
    states: Float[Tensor, "n *event"]
    mode: Int[np.ndarray, " n"]
    rows: Int[np.ndarray, " rows"]
    first: Int[np.ndarray, " chains"]
    last: Int[np.ndarray, " chains"]


class SpuriousValleys:
    """How many valleys hold at least `share` of the model's mass though the data hold under a tenth of that there.

    Search: `starts` points, radius even from 0 to √d + `reach` standard deviations of the data, directions even, half
    of them stretched by the data's covariance; in each shell the hundredth of lowest E for its radius; descent,
    Langevin steps from `hottest`·T cooled to T, descent again; the chains' first and last draws likewise. Ends with
    less than T between them are one valley. Mass: log ∫ exp(−E/T) over a valley's basin, and over what is no valley's
    near the data, by bridge sampling (Meng and Wong, 1996, Statistica Sinica 6, 831) between chains that start there
    and a Gaussian mixture fitted to half of them. Data are absent where under a tenth of the share of data rows
    descends, and where the valley's draws lie farther from the nearest row than 95 % of the model's draws near the data
    do. A valley seen under less than about one in `starts`/10 of all directions is missed: in 16 dimensions and 6 to 10
    standard deviations away all of 20 that are 0.6 as wide as the data are found, 11 at 0.5, 1 at 0.4. Above some 50
    dimensions chains that start near the data do not settle in time, and masses are right to a few nats only.

    starts: ≥ 1000 evaluations of E. reach: > 0, in standard deviations. hottest: ≥ 1, in T. share: in [0, 1].
    """

    def __init__(self, starts: int, reach: float, hottest: float, share: float) -> None:
        check.count("starts", starts, least=STRATUM)
        check.positive("reach", reach)
        check.number("hottest", hottest)
        if hottest < 1:
            raise check.InputError(f"hottest must be >= 1, got {hottest}")
        check.share("share", share)
        self.starts = starts
        self.reach = reach
        self.hottest = hottest
        self.share = share

    def __call__(self, patient: Patient) -> Finding:
        screened = patient.screened()
        energy, temperature, data = patient.energy, patient.temperature, patient.data
        name = "spurious_valleys"
        if energy is None or temperature is None:
            return Finding(
                {name: refused("the energy is not known from a file of chains alone: use run=RUN of ebm sample")}
            )
        if data is None:
            return Finding({name: refused("without data no valley can be called spurious: use run=RUN, or data=NAME")})
        if temperature <= 0:
            return Finding({name: refused("at T = 0 valleys have no mass: use sampler.temperature > 0")})
        if screened.good is None:
            return Finding({name: refused(screened.fatal)})
        rows = rows_of(data, energy)
        search = self._search(energy, temperature, rows, screened.good)
        rng = generator(1, "spurious_valleys", rows.device)
        near = cooled(energy, repeated(rows, REGION), temperature, 1.0, rows, rng)
        valleys, numbers = self._weigh(energy, temperature, rows, near, search)
        short, long = (float(np.isin(mode, numbers).mean()) for mode in (search.first, search.last))
        doubts = [*screened.remarks, *departed(near, rows)]
        doubts += [said(valley) for valley in valleys[:3]]
        doubts += [f"{len(valleys) - 3} more valleys without data"] if len(valleys) > 3 else []
        if valleys:
            doubts.append(
                f"{short:.1%} of the chains' first draws and {long:.1%} of their last lie there: train on with "
                "start=replay or more objective.steps"
            )
        drawn = picture(energy, temperature, data, rows, search, valleys)
        names = f": {'; '.join(map(said, valleys[:3]))}" if valleys else ""
        count = f"{len(valleys)} {'valley' if len(valleys) == 1 else 'valleys'}"
        caption = (
            f"{count} without data among the ends of descents from {self.starts:,} points far and near and from the "
            f"chains{names}. {short:.1%} of the chains' first draws and {long:.1%} of their last end in such. "
            f"{shown(data, valleys)} Good: none."
        )
        # A valley that was found is there; that there is none rests on where the chains have been, too.
        estimate = Estimate(float(len(valleys)), if_not_mixed="caution" if valleys else "refused")
        meaning = "no place without data was found to hold mass of the model (0 is perfect)"
        if valleys:
            held = f"{sum(valley.mass for valley in valleys) * 100:.1f} % of the model's mass"
            meaning = f"{held} is in {count} without data (0 is perfect)"
        estimate = estimate.with_meaning(meaning)
        return Finding({name: estimate.with_caution(doubts)}, drawn, caption)

    def _search(
        self, energy: nn.Module, temperature: float, rows: Float[Tensor, "rows *event"], chains: Chains
    ) -> Search:
        """Descend from everywhere, far and near, and sort the ends into modes."""
        rng = generator(0, "spurious_valleys", rows.device)
        far = outposts(energy, rows, self.starts, self.reach, rng)
        first, last = (states_of(energy, chains.x[:FOLLOWED, draw]) for draw in (0, -1))
        few = rows[:FOLLOWED]
        step = 0.1 * spread_of(rows)
        settled, _ = descend(energy, torch.cat([far, first, last]), temperature, step, steps=60)
        states = cooled(energy, settled, temperature, self.hottest, rows, rng)
        ends, e = descend(energy, torch.cat([states, few]), temperature, step)
        modes = merged(energy, ends, e, temperature, BARRIER, near=0.02 * spread_of(rows))
        mode = modes.of(ends)
        cuts = np.cumsum([len(far), len(first), len(last)])
        _, of_first, of_last, of_rows = np.split(mode, cuts)
        return Search(modes, states, mode[: len(states)], of_rows, of_first, of_last)

    def _weigh(
        self,
        energy: nn.Module,
        temperature: float,
        rows: Float[Tensor, "rows *event"],
        near: Float[Tensor, "n *event"],
        search: Search,
    ) -> tuple[list[Valley], list[int]]:
        """The spurious among the modes, heaviest first, and their numbers. near: draws of chains from the rows."""
        rng = generator(2, "spurious_valleys", rows.device)
        bound = float(torch.quantile(distances(near, rows).min(1).values, 0.95))
        away = (distances(search.states, rows).min(1).values > bound).cpu().numpy()
        held = np.bincount(search.mode, minlength=len(search.modes))
        beyond = np.bincount(search.mode, away, minlength=len(search.modes)) > 0.5 * held
        suspects = np.flatnonzero(beyond & (held > 0))[:SUSPECTS].tolist()
        if not suspects:
            return [], []
        step = 0.1 * spread_of(rows)

        def mode_of(x: Float[Tensor, "n *event"]) -> Int[np.ndarray, " n"]:
            return search.modes.reached(energy, x, temperature, step)

        masses = [log_mass(energy, near, temperature, lambda x: ~np.isin(mode_of(x), suspects))]
        draws = []
        for k in suspects:
            members = search.states[(search.mode == k).nonzero()[0].tolist()]
            draws.append(cooled(energy, repeated(members, LOCAL), temperature, 1.0, rows, rng))
            masses.append(log_mass(energy, draws[-1], temperature, lambda x, k=k: mode_of(x) == k))
        mass = np.exp(np.array(masses) - np.logaddexp.reduce(masses))[1:]
        data = np.array([(search.rows == k).mean() for k in suspects])
        absent = [float(distances(x, rows).min(1).values.median()) > bound for x in draws]
        spurious = (mass >= self.share) & (data < FEWER * mass) & np.array(absent)
        chosen = [i for i in np.argsort(-mass) if spurious[i]]
        lowest, e = search.modes.lowest, values(energy, search.modes.lowest)
        numbers = [suspects[i] for i in chosen]
        found = [Valley(lowest[k], float(e[k]), float(mass[i]), draws[i]) for i, k in zip(chosen, numbers, strict=True)]
        return found, numbers


def departed(near: Float[Tensor, "n *event"], rows: Float[Tensor, "rows *event"]) -> list[str]:
    """What to doubt where chains that start at data rows leave them: then no valley is what is wrong with the model."""
    gap = float(distances(near, rows).min(1).values.median())
    own = distances(rows, rows).fill_diagonal_(math.inf).min(1).values
    usual = float(torch.quantile(own, 0.95))
    if gap <= usual:
        return []
    return [
        f"chains that start at data rows leave them (half end over {gap:.3g} from the nearest row; 95 % of rows have "
        f"one within {usual:.3g}): the model's mass is not where data are, so train on before looking for valleys"
    ]


def said(valley: Valley) -> str:
    """A valley in words: where it lies in few dimensions, its energy and its mass."""
    point = valley.x.flatten().tolist()
    place = f" near ({', '.join(f'{value + 0.0:.1f}' for value in point)})" if len(point) <= 4 else ""
    return f"a valley{place} at E = {valley.energy:.3g} holds {valley.mass:.1%} of the mass and no data"


def rows_of(data: Data, energy: nn.Module) -> Float[Tensor, "rows *event"]:
    """Training rows with their noise, at most 2,000, evenly chosen and then mixed."""
    x = noisy_available_rows(data, 0).x
    chosen = evenly(len(x), ROWS)
    return states_of(energy, x[np.random.default_rng(0).permutation(chosen).tolist()].cpu().numpy())


def shown(data: Data, valleys: list[Valley]) -> str:
    """What the figure shows."""
    if data.event == (2,):
        return "Crosses: valleys; contours: E/T."
    if valleys and figure.is_image(data.event):
        return "Shown: the lowest state of each."
    return "Shown: where states came to rest at T, by their distance to the nearest of the data rows."


def picture(
    energy: nn.Module,
    temperature: float,
    data: Data,
    rows: Float[Tensor, "rows *event"],
    search: Search,
    valleys: list[Valley],
) -> Figure:
    """Valleys over the energy in the plane, as images, or by energy and distance to the data."""
    labels = [f"E = {valley.energy:.3g}, {valley.mass:.1%}" for valley in valleys]
    if data.event == (2,):
        return plane(energy, temperature, rows, valleys, labels)
    if valleys and figure.is_image(data.event):
        seen = data.decode(torch.stack([valley.x for valley in valleys[:6]]))
        drawn, panels = figure.new(len(seen), width=max(1.7 * len(seen), 3.0), height=2.2)
        for axes, image, label in zip(panels, seen, labels, strict=False):
            axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axes.set_title(label, fontsize=8)
            axes.axis("off")
        return drawn
    drawn, (axes,) = figure.new()
    every = evenly(len(search.states), 2000)
    for x, color, label in ((rows, figure.BLUE, "data rows"), (search.states[every], "0.45", "states at rest")):
        nearest = distances(x, rows)
        # A row is no neighbour of its own.
        nearest = nearest.masked_fill(nearest == 0, math.inf).min(1).values
        e = values(energy, x)
        axes.scatter(nearest.cpu(), e.cpu() / temperature, s=6, color=color, linewidths=0, alpha=0.5, label=label)
    for valley, label in zip(valleys, labels, strict=True):
        x = valley.draws
        at, e = distances(x, rows).min(1).values.cpu(), values(energy, x).cpu() / temperature
        axes.scatter(at, e, s=10, color=figure.RED, marker="x", linewidths=0.8, label=f"valley: {label}")
    axes.set(xlabel="distance to the nearest data row", ylabel="E/T")
    axes.legend(fontsize=8)
    return drawn


def plane(
    energy: nn.Module, temperature: float, rows: Float[Tensor, "rows 2"], valleys: list[Valley], labels: list[str]
) -> Figure:
    """Valleys and data rows over contours of E/T, one every T above the lowest."""
    points = rows.double().cpu().numpy()
    draws = [valley.draws.double().cpu().numpy() for valley in valleys]
    box = figure.extent(points, np.concatenate([points, *draws]))
    tall = (box[3] - box[2]) / (box[1] - box[0])
    drawn, (axes,) = figure.new(width=5.8, height=min(max(4.4 * tall, 1.8), 6.0) + 0.7)
    u, v, e = figure.energy_on_grid(energy, box, 160)
    level = np.minimum((e - e.min()) / temperature, DEEPEST)
    filled = axes.contourf(u, v, level, levels=np.arange(0, DEEPEST + 0.5, 1), cmap="Greys", alpha=0.6)
    axes.scatter(points[:, 0], points[:, 1], s=3, color=figure.BLUE, linewidths=0, alpha=0.4, label="data rows")
    for valley, label in zip(valleys, labels, strict=True):
        x = (float(valley.x[0]), float(valley.x[1]))
        axes.plot(*x, "x", color=figure.RED, markersize=9, markeredgewidth=2)
        axes.annotate(
            label,
            x,
            (0, 10),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=figure.BLACK,
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5},
        )
    axes.set(xlabel="x₁", ylabel="x₂", xlim=box[:2], ylim=box[2:], aspect="equal")
    axes.grid(False)
    axes.legend(loc="upper right", fontsize=8, markerscale=2)
    drawn.colorbar(filled, ax=axes, label=f"(E − min E)/T, cut at {DEEPEST}")
    return drawn
