"""Mode occupancy: what share of the chains' draws lies in each mode, beside what share should."""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from ebm_cli import check, figure
from ebm_cli.chain.chain_file import Chains, evenly
from ebm_cli.data import Batch, Data
from ebm_cli.data._features import train_classifier
from ebm_cli.data._rows import noisy_available_rows
from ebm_cli.diagnostic import Patient
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from ebm_cli.estimate import Estimate, refused
from ebm_cli.figure.finding import Finding
from ebm_cli.wells.basins import basins_of
from ebm_cli.wells.modes import distances, find_modes, shares_of, spread_of, states_of

ROWS = 2000
DESCENDED = 500
COLORS = (figure.ORANGE, figure.GREEN)
BARS = 24
OFF = 0.05


@dataclass(frozen=True)
class Division:
    """Each chain's share of draws in each mode, and the shares that it is held against.

    names: of the modes, as a reason says them. numbers: of the modes, as a figure does. shares: (chain, k), each over
    `draws` draws. references: shares by where they come from, the first the judge. exact: whether that one
    has no error; else it comes from `rows` rows. points: where the modes lie in the plane.
    """

    names: list[str]
    numbers: list[int]
    shares: Float[np.ndarray, "chain k"]
    draws: int
    method: str
    references: dict[str, Float[np.ndarray, " k"]] = field(default_factory=dict)
    exact: bool = True
    rows: int = 0
    points: Float[np.ndarray, "k 2"] | None = None


class ModeOccupancy:
    """oₖ = share of draws in mode k; its error is that of the mean over chains, which are independent as draws are not.

    Modes and their reference, the first of these that applies: a Gaussian mixture's components at T = 1, each draw
    shared out by responsibility, so that E[oₖ] = wₖ exactly; basins of E in one or two dimensions with ∫ exp(−E/T) over
    each by quadrature; the classes of labelled images, told apart by discriminant analysis of `features`, with
    the shares of the training rows; minima that draws and training rows descend to, with the shares of the rows. Minima
    with less than barrier·T between them are one mode. `modes_missing` lists modes whose reference is at least `least`
    and which hold under `missing` of it, beyond four errors. Modes that neither draws nor rows come near go unseen
    above two dimensions.

    barrier: in T > 0. least, missing: shares in [0, 1]. draws: states a chain ≥ 1 that are descended or classified.
    """

    def __init__(self, barrier: float, least: float, missing: float, draws: int) -> None:
        check.positive("barrier", barrier)
        check.share("least", least)
        check.share("missing", missing)
        check.count("draws", draws)
        self.barrier = barrier
        self.least = least
        self.missing = missing
        self.draws = draws

    def __call__(self, patient: Patient) -> Finding:
        screened = patient.screened()
        reason = screened.fatal
        if patient.energy is None or patient.temperature is None:
            reason = "the energy is not known from a file of chains alone: use run=RUN of ebm sample"
        elif patient.temperature <= 0:
            reason = "at T = 0 modes have no weights: use sampler.temperature > 0"
        if reason or screened.good is None or patient.energy is None or patient.temperature is None:
            return Finding({"occupancy": refused(reason), "modes_missing": refused(reason)})
        found = self._divide(patient, patient.energy, patient.temperature, screened.good)
        count = len(found.shares)
        occupancy, se = found.shares.mean(0).clip(0, 1), found.shares.std(0, ddof=1) / count**0.5
        said = {k: f"holds {occupancy[k]:.3f} ± {se[k]:.3f}" for k in range(len(occupancy))}
        missing, off = self._judge(found, occupancy, se)
        judge = next(iter(found.references.values()), None)
        doubts = list(screened.remarks)
        if judge is not None:
            doubts += [f"{found.names[k]}, weight {judge[k]:.2f}, {said[k]}: missing" for k in missing[:4]]
            doubts += [f"{len(missing) - 4} more modes are missing"] if len(missing) > 4 else []
            doubts += [f"{found.names[k]}, weight {judge[k]:.2f}, {said[k]}" for k in off[:4]]
        if missing:
            doubts.append(f"{screened.good.longer(4)}, or start chains wider: type start.scale=10")
        # That modes are missing is a fact about these chains; that none is says that they have found every one.
        listed = Estimate(
            [float(found.numbers[k]) for k in missing], if_not_mixed="caution" if missing else "refused"
        ).with_caution(doubts)
        listed = listed.with_meaning(
            f"chains hardly visit {len(missing)} of {len(found.names)} modes (none missing is perfect)"
            if missing
            else f"chains visit every mode that should hold {100 * self.least:.0f} % of the draws or more"
        )
        if judge is None:
            listed = refused(
                "what each mode should hold is known with data, or in one or two dimensions: add data=NAME"
            )
        estimates = {
            "occupancy": Estimate(occupancy.tolist(), se=se.tolist(), if_not_mixed="refused").with_caution(doubts),
            "modes_missing": listed,
        }
        return Finding(estimates, *picture(patient, found, occupancy, se, missing))

    def _divide(self, patient: Patient, energy: nn.Module, temperature: float, chains: Chains) -> Division:
        data, event = patient.data, chains.event
        if isinstance(energy, GaussianMixture) and temperature == 1:
            return by_components(energy, chains)
        if len(event) == 1 and event[0] <= 2:
            found = by_basins(energy, temperature, chains, data, self.barrier)
            if found is not None:
                return found
        few = chains.thinned(self.draws)
        if data is not None and figure.is_image(event):
            train = noisy_available_rows(data, 0)
            if train.y is not None:
                return by_classes(energy, few, data, train)
        return by_descent(energy, temperature, few, data, self.barrier)

    def _judge(
        self, found: Division, occupancy: Float[np.ndarray, " k"], se: Float[np.ndarray, " k"]
    ) -> tuple[list[int], list[int]]:
        """Modes that are missing; and those that hold another share than an exact one by four errors and 0.05."""
        if not found.references:
            return [], []
        weight = next(iter(found.references.values()))
        # A mode that no draw has met has no spread; the counts' own error is the least that it can have.
        floor = weight * (1 - weight) / (len(found.shares) * found.draws)
        own = 0.0 if found.exact else weight * (1 - weight) / found.rows
        error = 4 * np.sqrt(np.maximum(se**2, floor) + own)
        gone = (weight >= self.least) & (occupancy < self.missing * weight) & (weight - occupancy > error)
        off = found.exact & ~gone & (abs(weight - occupancy) > np.maximum(error, OFF))
        return np.flatnonzero(gone).tolist(), np.flatnonzero(off).tolist()


def near(k: int, point: Float[np.ndarray, " d"]) -> str:
    """How a reason names a mode: its number from 1, and where it lies in few dimensions."""
    if len(point) > 4:
        return f"mode {k + 1}"
    return f"mode {k + 1} near ({', '.join(f'{value:.1f}' for value in point + 0.0)})"


def by_components(energy: GaussianMixture, chains: Chains) -> Division:
    """The components of a Gaussian mixture, a draw shared out by responsibility."""
    count, draws = chains.x.shape[:2]
    with torch.no_grad():
        x = states_of(energy, chains.flat().reshape(count * draws, -1))
        weights, means = energy.logits.softmax(0).double().cpu().numpy(), energy.means.double().cpu().numpy()
        squares = distances(x, energy.means).square() / (2 * energy.log_stds).exp()
        log_parts = energy.logits - x.shape[1] * energy.log_stds - squares / 2
        responsibility = log_parts.double().softmax(1).cpu().numpy()
    shares = responsibility.reshape(count, draws, -1).mean(1)
    return Division(
        names=[near(k, mean) for k, mean in enumerate(means)],
        numbers=list(range(1, len(means) + 1)),
        shares=shares,
        draws=draws,
        method="components of the mixture, by responsibility",
        references={"exact weight": weights},
        points=means if means.shape[1] == 2 else None,
    )


def by_basins(
    energy: nn.Module, temperature: float, chains: Chains, data: Data | None, barrier: float
) -> Division | None:
    """The basins of an energy in one or two dimensions; None where exp(−E/T) does not vanish far away."""
    count, draws = chains.x.shape[:2]
    x = chains.flat().reshape(count * draws, -1).astype(float)
    rows = rows_of(data, ROWS)
    around = x if rows is None else np.concatenate([x, rows.double().cpu().numpy()])
    found = basins_of(energy, around, temperature, barrier, temperature)
    if found is None:
        return None
    weights = found.weights(temperature)
    order = np.argsort(-weights)
    points = found.modes.lowest.double().cpu().numpy()[order]
    references = {"exact weight": weights[order]}
    if rows is not None:
        references["data rows"] = shares_of(found.of(rows.double().cpu().numpy())[None], len(weights))[0, order]
    return Division(
        names=[near(k, point) for k, point in enumerate(points)],
        numbers=list(range(1, len(points) + 1)),
        shares=shares_of(found.of(x).reshape(count, draws), len(weights))[:, order],
        draws=draws,
        method=f"basins of E, joined below {barrier:g} T; weights by quadrature",
        references=references,
        points=points if points.shape[1] == 2 else None,
    )


def by_descent(
    energy: nn.Module,
    temperature: float,
    few: Float[np.ndarray, "chain draw *event"],
    data: Data | None,
    barrier: float,
) -> Division:
    """The minima that draws and training rows descend to."""
    count, draws = few.shape[:2]
    x = states_of(energy, few.reshape(count * draws, *few.shape[2:]))
    rows = rows_of(data, DESCENDED)
    both = x if rows is None else torch.cat([x, rows.to(x)])
    modes, mode = find_modes(energy, both, temperature, barrier, reach=0.1 * spread_of(both))
    shares = shares_of(mode[: count * draws].reshape(count, draws), len(modes))
    weights = None if rows is None else shares_of(mode[None, count * draws :], len(modes))[0]
    order = np.argsort(-(shares.mean(0) if weights is None else weights), kind="stable")
    points = modes.lowest.flatten(1).double().cpu().numpy()[order]
    return Division(
        names=[near(k, point) for k, point in enumerate(points)],
        numbers=list(range(1, len(points) + 1)),
        shares=shares[:, order],
        draws=draws,
        method=f"minima that draws{'' if rows is None else ' and data rows'} descend to, joined below {barrier:g} T",
        references={} if weights is None else {"data rows": weights[order]},
        exact=False,
        rows=0 if rows is None else len(rows),
        points=points if points.shape[1] == 2 else None,
    )


def by_classes(energy: nn.Module, few: Float[np.ndarray, "chain draw *event"], data: Data, train: Batch) -> Division:
    """The classes of labelled images by a classifier's probabilities p, corrected for those that it confuses.

    E[p_j] = Σᵢ oᵢ C_ij with C_ij the mean of p_j over unseen rows of class i, so o = E[p]·C⁻¹ (Rogan and Gladen, 1978,
    Am. J. Epidemiology 107, 71); a chain's share can fall below 0, their mean is cut there.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import cross_val_predict

    assert train.y is not None
    labels = train.y.cpu().numpy()
    count, draws = few.shape[:2]
    # One network costs a third of the three that a distance between features needs.
    seen = torch.arange(len(labels), device=train.x.device) % 3 != 0
    network = train_classifier(data, data.split("train"), seen.nonzero()[:, 0], fold=0)
    # Rows that a network was trained on lie apart by class as no draw ever does.
    unseen, names = train.x[~seen], labels[~seen.cpu().numpy()]
    x = states_of(energy, few.reshape(count * draws, *few.shape[2:])).to(train.x)
    with torch.no_grad():
        real, drawn = (network(part).double().cpu().numpy() for part in (unseen, x))
    rule = LinearDiscriminantAnalysis()
    told = cross_val_predict(rule, real, names, cv=3, method="predict_proba")
    classes, counts = np.unique(labels, return_counts=True)
    confused = np.stack([told[names == label].mean(0) for label in classes])
    probability = rule.fit(real, names).predict_proba(drawn).reshape(count, draws, -1).mean(1)
    return Division(
        names=[f"class {label}" for label in classes],
        numbers=[int(label) for label in classes],
        shares=probability @ np.linalg.inv(confused),
        draws=draws,
        method=(
            f"classes of the data, told apart by a classifier that names {confused.diagonal().mean():.1%} of unseen "
            "rows rightly and corrected for what it confuses"
        ),
        references={"data rows": counts / counts.sum()},
        exact=False,
        rows=len(labels),
    )


def rows_of(data: Data | None, most: int) -> Tensor | None:
    """Training rows with their noise, at most `most`, evenly chosen."""
    if data is None:
        return None
    x = noisy_available_rows(data, 0).x
    return x[evenly(len(x), most)]


def picture(
    patient: Patient,
    found: Division,
    occupancy: Float[np.ndarray, " k"],
    se: Float[np.ndarray, " k"],
    missing: list[int],
) -> tuple[Figure, str]:
    """Occupancy of each mode beside its references; in the plane also where the modes lie."""
    plane = found.points is not None
    shown = min(len(occupancy), BARS)
    drawn, axes = figure.new(1 + plane, width=9.0 if plane else 6.4, height=3.6)
    bars = axes[-1]
    series = [
        ("chains", occupancy, figure.BLUE),
        *zip(found.references, found.references.values(), COLORS, strict=False),
    ]
    width, place = 0.8 / len(series), np.arange(shown)
    for i, (label, heights, color) in enumerate(series):
        at = place + (i - (len(series) - 1) / 2) * width
        error = se[:shown] if i == 0 else None
        bars.bar(at, heights[:shown], width, yerr=error, color=color, label=label, error_kw={"linewidth": 1.2})
    for k in missing:
        if k < shown:
            at = (k - (len(series) - 1) / 2 * width, occupancy[k] + se[k])
            bars.annotate("missing", at, (0, 4), textcoords="offset points", ha="center", rotation=90, fontsize=8)
    bars.set_xticks(place, [str(number) for number in found.numbers[:shown]])
    bars.set(xlabel="class" if found.names[0].startswith("class") else "mode", ylabel="share of draws")
    bars.grid(False, axis="x")
    bars.legend(fontsize=9)
    if found.points is not None:
        where(axes[0], patient, found.points[:shown], found.numbers)
    numbers = ", ".join(f"{found.numbers[k]}: {occupancy[k]:.3f} ± {se[k]:.3f}" for k in range(min(shown, 8)))
    rest = f" and {len(occupancy) - 8} more" if len(occupancy) > 8 else ""
    caption = f"Share of draws in each mode, errors over {len(found.shares)} independent chains ({numbers}{rest}). "
    caption += f"Modes: {found.method}. "
    caption += "Good: bars of a mode agree within their errors, and none is empty beside a reference that is not."
    return drawn, caption


def where(axes: Axes, patient: Patient, points: Float[np.ndarray, "k 2"], numbers: list[int]) -> None:
    """The modes' numbers and some draws over E/T."""
    assert patient.energy is not None and patient.temperature is not None
    flat = patient.chains.flat()
    x = flat[np.isfinite(flat).all((1, 2))].reshape(-1, 2)
    x = x[evenly(len(x), 1500)]
    box = figure.extent(np.concatenate([x, points, points]))
    u, v, e = figure.energy_on_grid(patient.energy, box, 120)
    level = np.minimum((e - e.min()) / patient.temperature, 12)
    axes.contourf(u, v, level, levels=np.arange(0, 12.5, 1), cmap="Greys", alpha=0.6)
    axes.scatter(x[:, 0], x[:, 1], s=4, color=figure.SKY, linewidths=0, alpha=0.5)
    for number, (x1, x2) in zip(numbers, points, strict=False):
        circle = {"boxstyle": "circle,pad=0.25", "facecolor": "white", "edgecolor": figure.BLACK, "linewidth": 0.8}
        axes.text(x1, x2, str(number), ha="center", va="center", fontsize=8, bbox=circle)
    axes.set(xlabel="x₁", ylabel="x₂", xlim=box[:2], ylim=box[2:], title="modes and draws over E/T")
    axes.grid(False)
