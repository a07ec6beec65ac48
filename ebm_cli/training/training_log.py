"""The log of training: numbers in metrics.jsonl, and the same numbers with histograms and pictures in TensorBoard."""

import io
import math
from contextlib import AbstractContextManager

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
from ebm_cli.start import NoiseLaw
from ebm_cli.start.replay import Replay
from ebm_cli.training.state import TrainState

# Number of logged steps between pictures.
PICTURE_EVERY = 10
PICTURE_DPI = 100
MAX_IMAGES = 64
MAX_POINTS = 1000
# The width of a histogram overflows for larger energies.
MAX_ENERGY = 1e100


class TrainingLog(AbstractContextManager["TrainingLog"]):
    """Writes the numbers of a training run to metrics.jsonl and TensorBoard, starting at the step of its state.

    TensorBoard also gets histograms at every logged step and pictures at every tenth logged step. Neither uses a
    generator of the training state. Therefore logging never changes the result of training.
    """

    def __init__(self, run: Run, parts: Parts, state: TrainState) -> None:
        self.run = run
        self.parts = parts
        self.state = state
        # Steps that a stopped run logged after its last checkpoint are logged again.
        run.cut_history(state.step)
        resumed = any(run.folder.glob("events.out.tfevents.*"))
        self.logged = len(run.history())
        self.events = self._open(state.step + 1 if resumed else None)

    def __exit__(self, *error: object) -> None:
        self.events.close()

    def flush(self) -> None:
        self.events.flush()

    def log(self, outcome: Outcome, norm: Tensor, rate: float, extra: dict[str, float]) -> dict[str, float]:
        """Log and return the scalars of one step, including those in `extra`."""
        row = {"loss": float(outcome.loss.detach()), "e_data": float(outcome.e_data.detach().mean())}
        if outcome.e_model is not None:
            row["e_model"] = float(outcome.e_model.detach().mean())
            row["gap"] = row["e_model"] - row["e_data"]
        e_noise = self.noise_energies(outcome.x_data)
        row["e_noise"] = float(e_noise.mean())
        row |= {name: float(value.detach()) for name, value in outcome.scalars.items()}
        row |= {name: float(measure().detach()) for name, measure in outcome.measures.items()}
        row |= extra
        row["grad_norm"] = float(norm)
        row["lr"] = float(self.state.schedule.get_last_lr()[0])
        finite = {name: value for name, value in row.items() if math.isfinite(value)}
        self.log_scalars(finite | {"steps_per_second": rate})
        self.histograms(outcome, e_noise)
        if self.logged % PICTURE_EVERY == 0:
            self.pictures(outcome)
        self.logged += 1
        return row

    def log_scalars(self, values: dict[str, float]) -> dict[str, float]:
        """Log and return scalars of the present step. In TensorBoard they have groups, descriptions and charts."""
        self.run.log_metrics({"step": self.state.step, **values})
        if not self.names.issuperset(values):
            self.names.update(values)
            self.events.layout(tags.layout(self.names))
        for name, value in values.items():
            self.events.scalar(tags.tag(name), value, self.state.step, tags.description(name))
        return values

    def warn(self, warning: str) -> None:
        """Log a warning at the present step."""
        self.events.text("warnings", warning, self.state.step)

    def rewind(self) -> None:
        """Continue from the step of the state: drop later lines of metrics.jsonl, and hide later events."""
        self.run.cut_history(self.state.step)
        self.events.close()
        self.events = self._open(self.state.step + 1)

    def _open(self, purge: int | None) -> Logger:
        events = open_places(self.run.folder, purge)
        open_record(events, self.run)
        self.names: set[str] = set()
        return events

    def histograms(self, outcome: Outcome, e_noise: Tensor) -> None:
        """Write histograms of the energies of data, model and noise."""
        energies = {"data": outcome.e_data, "model": outcome.e_model, "noise": e_noise}
        for name, values in energies.items():
            if values is None:
                continue
            finite = values.detach()[values.abs() < MAX_ENERGY].double().cpu().numpy()
            if len(finite):
                self.events.histogram(f"energies/{name}", finite, self.state.step, tags.HISTOGRAMS[name])

    def noise_energies(self, like: Tensor) -> Tensor:
        """Return energies of the start's noise; of uniform noise, on [−1, 1] if states are continuous, if it has none.

        The noise is the same at each call. The energy is in evaluation mode, because dropout and power iterations would
        change its state.
        """
        usual = NoiseLaw(space_of(self.parts.energy), "uniform", 1.0)
        law = getattr(self.parts.start, "noise", usual)
        own = torch.Generator(like.device).manual_seed(0)
        noise = law.draw(min(len(like), MAX_IMAGES), tuple(like.shape[1:]), own, like.dtype)
        with torch.no_grad(), frozen(self.parts.energy):
            return self.parts.energy(noise)

    def pictures(self, outcome: Outcome) -> None:
        """Write pictures of the model's samples and of the replay buffer: grids of images, or scatter plots."""
        assert self.parts.data is not None
        shown = {"samples": outcome.x_model}
        start = self.parts.start
        if isinstance(start, Replay):
            shown["buffer"] = start.x[:MAX_IMAGES]
        for name, x in shown.items():
            if x is not None and figure.can_show(self.parts.event):
                picture = figure.states(self.parts.data.decode(x[:MAX_IMAGES].detach()), self.parts.event)
                png = io.BytesIO()
                picture.savefig(png, format="png", dpi=PICTURE_DPI)
                self.events.picture(f"pictures/{name}", png.getvalue(), self.state.step, tags.PICTURES[name])

    def last_samples(self, chains: Tensor | None) -> dict[str, tuple["figure.Figure", str]]:
        """Draw the final states of the chains of training, if their shape can be drawn."""
        if chains is None or not figure.can_show(self.parts.event):
            return {}
        assert self.parts.data is not None
        shown = self.parts.data.decode(chains[:MAX_POINTS])
        count = min(len(shown), MAX_IMAGES) if is_image(self.parts.event) else len(shown)
        caption = (
            f"Final states of the first {count} of {len(chains)} chains of training, not selected. They continued "
            "earlier chains and did not start from noise. They should look like the data."
        )
        is_plane = self.parts.event == (2,)
        rows = self.parts.data.decode(available_rows(self.parts.data).x) if is_plane else None
        picture = figure.states(shown, self.parts.event, MAX_IMAGES, like=rows)
        if is_plane and (columns := getattr(self.parts.data, "columns", None)):
            picture.axes[0].set(xlabel=columns[0], ylabel=columns[1])
        return {"samples": (picture, caption)}

    def finish(self, chains: Tensor | None) -> None:
        """Flush the log and save the figures: curves, final states, and the density of a model in the plane."""
        self.flush()
        figure.save(self.run, {"training": figure.training(self.run.history())} | self.last_samples(chains))
        if self.parts.event == (2,):
            x = np.empty((0, 2)) if chains is None else chains[:MAX_POINTS].double().cpu().numpy()
            energy = self.parts.energy if self.state.averaged is None else self.state.averaged.module
            with frozen(energy):
                drawn = landscape(energy, self.parts.sampler.temperature, self.parts.data, x)
            figure.save(self.run, {"landscape": drawn})
