"""Training's record: a line a logged step in metrics.jsonl, the same and pictures in TensorBoard."""

import io
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ebm_cli import figure
from ebm_cli.assembly.components import Parts
from ebm_cli.data import is_image
from ebm_cli.data._rows import available_rows
from ebm_cli.energy import frozen, space_of
from ebm_cli.figure.landscape import landscape
from ebm_cli.logger import Logger, open_places, tags
from ebm_cli.logger.run_record import open_record
from ebm_cli.objective import Outcome
from ebm_cli.run.folder import Run
from ebm_cli.start import noise_law, noise_states
from ebm_cli.start.replay import Replay
from ebm_cli.training.state import TrainState

PICTURES = 10
PICTURE_DPI = 100
SHOWN = 64
MOST_POINTS = 1000
# Beyond it the width of a histogram overflows.
MAX_ENERGY = 1e100


class TrainingLog:
    """Writes both records of one training run, metrics.jsonl and TensorBoard's, from the state's step on.

    Histograms come with every logged step and pictures with every tenth; both use no generator of the training state,
    so that what is logged never changes what is trained.
    """

    def __init__(self, run: Run, parts: Parts, state: TrainState) -> None:
        self.run = run
        self.parts = parts
        self.state = state
        # What a stopped run logged after its last checkpoint is logged again.
        run.cut_history(state.step)
        resumed = any(run.folder.glob("events.out.tfevents.*"))
        self.logged = len(run.history())
        self.events = self._open(state.step + 1 if resumed else None)

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, *error: object) -> None:
        self.events.close()

    def flush(self) -> None:
        self.events.flush()

    def log(self, outcome: Outcome, norm: Tensor, rate: float, extra: dict[str, float]) -> dict[str, float]:
        """Log one step, `extra` beside its own scalars; returns all of them."""
        step = self.state.step
        row: dict[str, Any] = {
            "loss": float(outcome.loss.detach()),
            "e_data": float(outcome.e_data.detach().mean()),
        }
        if outcome.e_model is not None:
            row["e_model"] = float(outcome.e_model.detach().mean())
            row["gap"] = row["e_model"] - row["e_data"]
        row["e_noise"] = float(self.noise_energies(outcome.x_data).mean())
        row |= {name: float(value.detach()) for name, value in outcome.scalars.items()}
        row |= {name: float(measure().detach()) for name, measure in outcome.measures.items()}
        row |= extra
        row["grad_norm"] = float(norm)
        row["lr"] = self.state.schedule.get_last_lr()[0]
        finite = {name: value for name, value in row.items() if math.isfinite(value)}
        self.run.log_metrics({"step": step, **finite, "steps_per_second": rate})
        self.scalars({**finite, "steps_per_second": rate})
        self.histograms(outcome)
        if self.logged % PICTURES == 0:
            self.pictures(outcome)
        self.logged += 1
        return row

    def rank(self, scores: dict[str, float]) -> dict[str, float]:
        """Log what a checkpoint is ranked by; returns it."""
        self.run.log_metrics({"step": self.state.step, **scores})
        self.scalars(scores)
        return scores

    def warn(self, warning: str) -> None:
        """Keep a warning of the present step."""
        self.events.text("warnings", warning, self.state.step)

    def scalars(self, values: dict[str, float]) -> None:
        """Scalars of the present step, each in its group and with its description, and a chart if it is to have one."""
        if not self.known.issuperset(values):
            self.known.update(values)
            self.events.layout(tags.layout(self.known))
        for name, value in values.items():
            self.events.scalar(tags.tag(name), value, self.state.step, tags.description(name))

    def rewind(self) -> None:
        """Go on from the state's step: what was logged beyond it is dropped, in TensorBoard hidden."""
        self.run.cut_history(self.state.step)
        self.events.close()
        self.events = self._open(self.state.step + 1)

    def _open(self, purge: int | None) -> Logger:
        events = open_places(self.run.folder, purge)
        open_record(events, self.run)
        self.known: set[str] = set()
        return events

    def histograms(self, outcome: Outcome) -> None:
        """Energies of data, model and noise."""
        step = self.state.step
        energies = {"data": outcome.e_data.detach()}
        if outcome.e_model is not None:
            energies["model"] = outcome.e_model.detach()
        energies["noise"] = self.noise_energies(outcome.x_data)
        for name, values in energies.items():
            finite = values[values.abs() < MAX_ENERGY].double().cpu().numpy()
            if len(finite):
                self.events.histogram(f"energies/{name}", finite, step, tags.HISTOGRAMS[name])

    def noise_energies(self, like: Tensor) -> Tensor:
        """Return energies of the start's noise, or on [−1, 1] (or coins) if it has none; the same rows each time.

        From a generator of their own and in evaluation mode, as dropout and power iterations would change what is
        trained.
        """
        distribution, scale = (
            getattr(self.parts.start, "distribution", noise_law("uniform", space_of(self.parts.energy))),
            getattr(self.parts.start, "scale", 1.0),
        )
        own = torch.Generator(like.device).manual_seed(0)
        noise = noise_states(min(len(like), SHOWN), tuple(like.shape[1:]), distribution, scale, own, like.dtype)
        with torch.no_grad(), frozen(self.parts.energy):
            return self.parts.energy(noise)

    def pictures(self, outcome: Outcome) -> None:
        """Grids (or scatters) of the model's samples and of the buffer."""
        assert self.parts.data is not None
        shown = {"samples": outcome.x_model}
        start = self.parts.start
        if isinstance(start, Replay):
            shown["buffer"] = start.x[:SHOWN]
        for name, x in shown.items():
            if x is not None and figure.can_show(self.parts.event):
                picture = figure.states(self.parts.data.decode(x[:SHOWN].detach()), self.parts.event)
                png = io.BytesIO()
                picture.savefig(png, format="png", dpi=PICTURE_DPI)
                self.events.picture(f"pictures/{name}", png.getvalue(), self.state.step, tags.PICTURES[name])

    def last_samples(self, chains: Tensor | None) -> dict[str, tuple["figure.Figure", str]]:
        """The chains as training leaves them, if they have a picture."""
        if chains is None or not figure.can_show(self.parts.event):
            return {}
        assert self.parts.data is not None
        shown = self.parts.data.decode(chains[:MOST_POINTS])
        count = min(len(shown), SHOWN) if is_image(self.parts.event) else len(shown)
        caption = (
            f"{count} of the {len(chains)} chains as training left them, the first ones and unselected: they started "
            "from where earlier ones ended, not from noise. Good: not to be told from the data."
        )
        picture = figure.states(shown, self.parts.event, SHOWN)
        if self.parts.event == (2,):
            rows = self.parts.data.decode(available_rows(self.parts.data).x)
            left, right, bottom, top = figure.extent(rows, margin=0.5)
            half = max(right - left, top - bottom) / 2
            middle, height = (left + right) / 2, (bottom + top) / 2
            picture.axes[0].set(xlim=(middle - half, middle + half), ylim=(height - half, height + half))
            if columns := getattr(self.parts.data, "columns", None):
                picture.axes[0].set(xlabel=columns[0], ylabel=columns[1])
        return {"samples": (picture, caption)}

    def finish(self, chains: Tensor | None) -> None:
        """The last flush, and the figures: the curves, and in the plane the model with its chains."""
        self.flush()
        figure.save(self.run, {"training": figure.training(self.run.history())} | self.last_samples(chains))
        if self.parts.event == (2,):
            x = np.empty((0, 2)) if chains is None else chains[:MOST_POINTS].double().cpu().numpy()
            energy = self.parts.energy if self.state.averaged is None else self.state.averaged.module
            with frozen(energy):
                drawn = landscape(energy, self.parts.sampler.temperature, self.parts.data, x)
            figure.save(self.run, {"landscape": drawn})
