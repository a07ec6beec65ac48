"""The closed-form negative phase: for ½‖x‖² − θᵀx maximum likelihood moves θ to the mean of the data."""

from pathlib import Path

import torch

from ebm_cli import figure, load_run
from ebm_cli.energy.shifted_quadratic import ShiftedQuadratic
from scripts.founding import Claim, Row
from scripts.founding._parts import average, ebm, moved, part, seeded

ORDER = 50
DIM, MEAN, ROWS = 64, 1.5, 500


def measure(place: Path) -> Claim:
    ebm(
        *["train", "energy=shifted_quadratic", "energy.mean=0", "objective=exact", f"out={place / 'run'}"],
        *["data=gaussian", f"data.dim={DIM}", f"data.mean={MEAN}", f"data.n={ROWS}", "trainer.steps=600"],
        *["trainer.batch_size=200", "optimizer=sgd", "optimizer.lr=0.1", "optimizer.warmup=1", "optimizer.clip=null"],
        *["trainer.ema_decay=0.97", "trainer.log_every=100"],
    )
    run = load_run(place / "run")
    energy, data = run.energy, run.data
    assert isinstance(energy, ShiftedQuadratic) and data is not None
    theta, mean = energy.theta.detach().double(), data.split("train").x.double().mean(0)
    chains = moved(part("sampler", "mala", {"step_size": 0.05}), energy, torch.zeros(1000, DIM), 200, seeded(0))
    # ∂E/∂θ = −x.
    negative = average(-chains.double().mean(0) + theta)
    rows = [
        Row(f"θ − x̄, mean over {DIM} coordinates", 0.0, *average(theta - mean)),
        Row("E_p[∂E/∂θ] + θ by MALA chains, mean over coordinates", 0.0, *negative),
        Row("squared distance of θ from the true mean, ⟨(θ − μ)²⟩ = s²/n", 1 / ROWS, *average((theta - MEAN).square())),
    ]
    picture, (axes,) = figure.new(width=4.6, height=4.0)
    ends = [float(mean.min()), float(mean.max())]
    axes.plot(ends, ends, color=figure.BLACK, linewidth=1, label="θ = x̄")
    axes.plot(mean, theta, "o", color=figure.BLUE, markersize=4, label="trained")
    axes.set(xlabel="mean x̄ of the training rows, one point per coordinate", ylabel="θ after training", aspect="equal")
    axes.legend()
    return Claim(
        section="原理与机制 › 最大似然训练原理 · Maximum likelihood",
        sentence="For E = ½‖x‖² − θᵀx the model is N(θ, I), the negative phase is known, and the gradient moves θ to "
        "the mean x̄ of the data, the maximum-likelihood estimate.",
        rows=rows,
        picture=picture,
        caption=f"θ after `ebm train energy=shifted_quadratic objective=exact` on {ROWS} rows in {DIM} dimensions.",
    )
