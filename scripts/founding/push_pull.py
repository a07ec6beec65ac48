"""Push–pull: a gradient step on the likelihood lowers E at data and raises E at samples of the model."""

from pathlib import Path

import numpy as np
import torch

from ebm_cli import figure
from ebm_cli.data import Batch
from ebm_cli.energy.gaussian_mixture import GaussianMixture
from scripts.founding import Claim, Row
from scripts.founding._energies import Bumps
from scripts.founding._line import energies, law
from scripts.founding._parts import average, part, seeded

ORDER = 40
CHAINS, STEPS, REPEATS = 1024, 500, 16


def measure(place: Path) -> Claim:  # noqa: ARG001
    energy, truth = Bumps(), GaussianMixture([[1.5]], [0.4], [1.0])
    with torch.no_grad():
        energy.theta.copy_(-2.5 * (-((energy.centres + 1.5) / 0.5).square()).exp())
    sampler = part("sampler", "mala", {"step_size": 0.3})
    start = part("start", "noise", {"distribution": "normal", "scale": 2.0}, event=(1,))
    contrastive = part("objective", "contrastive", {"steps": STEPS}, sampler=sampler, start=start, engine="eager")
    model, data = law(energy, -9.0, 9.0), law(truth, -9.0, 9.0)
    with torch.no_grad():
        features = energy.features(torch.from_numpy(model.x).float()[:, None]).double().numpy()
    positive, negative = data.mass @ features, model.mass @ features
    # Unit vector along the gradient of −log likelihood. A step against it changes E by its product with the features.
    exact = positive - negative
    way = torch.from_numpy(exact / np.linalg.norm(exact)).float()
    found: list[list[float]] = []
    for seed in range(REPEATS):
        rng = seeded(seed)
        batch = Batch(truth.draw(CHAINS, 1.0, rng))
        outcome = contrastive(energy, batch, rng)
        (gradient,) = torch.autograd.grad(outcome.loss, energy.theta)
        assert outcome.x_model is not None
        fresh = truth.draw(CHAINS, 1.0, rng), model.draw(CHAINS, rng)
        found.append([float(gradient @ way)] + [float(-(energy.features(x) @ gradient).mean()) for x in fresh])
    slopes, pulled, pushed = np.array(found).T
    h = 1e-3
    with torch.no_grad():
        nll = []
        for sign in (1, -1):
            energy.theta.add_(sign * h * way)
            e = energies(energy, model.x)
            log_z = np.logaddexp.reduce(-e) + np.log(model.x[1] - model.x[0])
            nll.append(data.mean(e) + log_z)
            energy.theta.sub_(sign * h * way)
    finite = (nll[0] - nll[1]) / (2 * h)
    rows = [
        Row("slope of −log likelihood, by finite differences of quadrature", finite, *average(slopes)),
        Row("change of E at new data, per unit learning rate", float(-positive @ exact), *average(pulled)),
        Row(
            "change of E at new samples of the model, per unit learning rate",
            float(-negative @ exact),
            *average(pushed),
        ),
        Row("E falls at data", 0.0, *average(pulled), "<"),
        Row("E rises at samples of the model", 0.0, *average(pushed), ">"),
    ]
    picture, (left, right) = figure.new(2, width=8.8, height=3.2)
    left.plot(data.x, data.density, color=figure.BLUE, label="data")
    left.plot(model.x, model.density, color=figure.ORANGE, label="model")
    left.set(xlabel="x", ylabel="density", xlim=(-5, 5))
    right.plot(model.x, -features @ exact, color=figure.BLACK)
    right.fill_between(model.x, np.minimum(-features @ exact, 0), color=figure.BLUE, alpha=0.4, label="pulled down")
    right.fill_between(model.x, np.maximum(-features @ exact, 0), color=figure.ORANGE, alpha=0.4, label="pushed up")
    right.set(xlabel="x", ylabel="change of E per unit learning rate", xlim=(-5, 5))
    left.legend()
    right.legend()
    return Claim(
        section="原理与机制 › 最大似然训练原理 · Maximum likelihood",
        sentence="The gradient of −log likelihood is ⟨∂E/∂θ⟩ over data minus ⟨∂E/∂θ⟩ over the model: learning pulls "
        "E down at data and pushes it up at samples of the model.",
        rows=rows,
        picture=picture,
        caption="Densities of the data and of a model with 41 bumps, which lies left of the data (left); change of its "
        "energy in one step (right).",
    )
