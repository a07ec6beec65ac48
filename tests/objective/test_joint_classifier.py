"""The joint classifier: its gradient is the sum of both parts, it is trained to classify, and it needs labels."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.data import Data
from ebm_cli.objective.joint_classifier import JointClassifier
from tests.contract import build

pytestmark = pytest.mark.usefixtures("float64")


def joint(
    changes: dict[str, object] | None = None, data: str = "gaussians_8", temperature: float = 1.0
) -> tuple[JointClassifier, Data]:
    rows = build("data", data, {"n": 500})
    sampler = build("sampler", "sgld", {"step_size": 0.01, "temperature": temperature})
    start = build("start", "replay", {"size": 256, "scale": 3.0}, event=rows.event)
    changes = {"steps": 5} | (changes or {})
    objective = build("objective", "joint_classifier", changes, data=rows, sampler=sampler, start=start, engine="eager")
    return objective, rows


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_the_gradient_is_the_sum_of_the_classifiers_and_the_difference_of_phases(
    temperature: float, rng: torch.Generator
) -> None:
    objective, data = joint({"weight": 3.0}, temperature=temperature)
    energy, batch = build("energy", "classifier", {"width": 8}, event=(2,), data=data), data.sample(32, rng)
    outcome = objective(energy, batch, rng)
    outcome.loss.backward()
    assert outcome.x_model is not None and batch.y is not None
    apart = (energy(batch.x).mean() - energy(outcome.x_model).mean()) / temperature
    whole = 3 * cross_entropy(energy.logits(batch.x), batch.y) + apart
    for parameter in energy.parameters():
        torch.testing.assert_close(parameter.grad, torch.autograd.grad(whole, parameter, retain_graph=True)[0])
    torch.testing.assert_close(outcome.loss, whole)


def test_a_short_training_tells_held_out_rows_apart_nearly_as_well_as_can_be(rng: torch.Generator) -> None:
    objective, data = joint()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        energy = build("energy", "classifier", {"width": 32, "confinement": 0.3}, event=(2,), data=data)
    objective.check_energy(energy, (2,))
    optimizer = torch.optim.Adam(energy.parameters(), lr=1e-2)
    outcome = None
    for _ in range(150):
        outcome = objective(energy, data.sample(64, rng), rng)
        optimizer.zero_grad()
        outcome.loss.backward()
        optimizer.step()
    # The best rule is the nearest mean.
    rows = data.split("held_out")
    assert rows.y is not None
    means = 2 * torch.stack([torch.arange(8).mul(torch.pi / 4).cos(), torch.arange(8).mul(torch.pi / 4).sin()], 1)
    best = float((torch.cdist(rows.x, means).argmin(1) == rows.y).double().mean())
    assert outcome is not None
    found = float(outcome.measures["accuracy_held_out"]())
    assert found > best - 4 * (0.25 / len(rows.x)) ** 0.5
    assert outcome.x_model is not None and bool(outcome.x_model.isfinite().all())


def test_the_classifier_is_trained_alone_while_chains_wait(rng: torch.Generator) -> None:
    objective, data = joint({"delay_steps": 1})
    energy, batch = build("energy", "classifier", event=(2,), data=data), data.sample(16, rng)
    outcomes = [objective(energy, batch, rng) for _ in range(2)]
    assert [outcome.x_model is None for outcome in outcomes] == [True, False]
    assert float(outcomes[0].loss.detach()) == pytest.approx(float(outcomes[0].scalars["cross_entropy"]))


@pytest.mark.slow
def test_a_run_whose_chains_broke_goes_on_with_a_smaller_step_and_is_sampled_from_its_buffer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = "experiment=gaussians_8 energy=classifier energy.width=8 objective=joint_classifier objective.steps=10"
    line += (
        " sampler=sgld sampler.step_size=50 start.size=64 trainer.batch_size=32 trainer.steps=12 trainer.log_every=1"
    )
    line += " trainer.on_divergence=rollback trainer.rollback_factor=0.1 trainer.checkpoint_every=1"
    assert main(["train", *line.split(), "out=run"]) == 0
    assert Path("run/rollbacks.json").exists()
    assert main(["sample", "run=run", "start=replay", "chains=4", "steps=8", "burn_in=0", "thin=1", "out=s"]) == 0


def test_data_without_labels_are_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match=r"^data must have labels for objective=joint_classifier, Gaussian has none"):
        joint(data="gaussian")


def test_an_energy_without_logits_or_with_too_few_is_refused() -> None:
    objective, _ = joint()
    with pytest.raises(InputError, match=r"energy must have logits .* MLP has none: use energy=classifier"):
        objective.check_energy(build("energy", "mlp", event=(2,)), (2,))
    with pytest.raises(InputError, match=r"^energy\.classes must be >= 8, the classes of the data, got 3"):
        objective.check_energy(build("energy", "classifier", event=(2,)), (2,))
