"""The descent through noise levels: its final distribution, and its use for runs of recovery likelihood."""

import pytest
import torch
import yaml

from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.data.gaussian import Gaussian
from tests.contract import build, moment_z_scores
from tests.energy.test_noise_levels import Levelled

pytestmark = pytest.mark.usefixtures("float64")


class Truth(Levelled):
    """The energies of a Gaussian set and its noised laws: E(x, σ) = ½‖x − 1‖²/(s² + σ²), without noise at its own."""

    s = 0.7

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        σ = torch.zeros(len(x)) if condition is None else torch.where(condition == self.noise_level, 0.0, condition)
        return 0.5 * (x - 1).square().sum(1) / (self.s**2 + σ**2)


def test_with_the_true_energies_it_ends_at_the_datas_law(rng: torch.Generator) -> None:
    data = Gaussian(2, 1.0, Truth.s, None, 0)
    sampler = build("sampler", "mala", {"step_size": 0.05})
    descent = build("start", "descent", {"sigma": [0.5, 1.5], "steps": 60}, energy=Truth(), data=data, sampler=sampler)
    begun = descent.draw(4000, None, rng)
    z_mean, z_variance = moment_z_scores(begun.x, 1.0, Truth.s**2)
    assert (z_mean < 4).all() and (z_variance < 4).all()
    assert (begun.age == 120).all()


def test_an_energy_that_is_not_told_levels_and_no_data_are_refused() -> None:
    sampler, data = build("sampler", "mala"), Gaussian(2, 1.0, 0.7, None, 0)
    with pytest.raises(InputError, match=r"^sigma needs a noise-conditional energy"):
        build("start", "descent", energy=build("energy", "mlp", event=(2,)), data=data, sampler=sampler)
    with pytest.raises(InputError, match=r"^data must be chosen"):
        build("start", "descent", energy=Truth(), sampler=sampler)


def test_a_run_of_recovery_likelihood_is_sampled_by_its_own_descent_unless_told(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = ["energy=mlp", "energy.width=8", "energy.noise_level=0.1", "data=gaussians_8", "sampler=mala"]
    words = [
        "objective=denoising_recovery",
        "objective.sigma=[0.7,3.0]",
        "objective.steps=2",
        "objective.sampling_steps=5",
    ]
    assert main(["train", *tiny, *words, "trainer.steps=2", "trainer.batch_size=8", "out=run"]) == 0

    def start(*more: str) -> dict[str, object]:
        out = f"s{len(list(tmp_path.iterdir()))}"
        assert main(["sample", "run=run", "chains=4", "steps=4", "thin=2", "burn_in=0", f"out={out}", *more]) == 0
        return yaml.safe_load((tmp_path / out / "config.yaml").read_text())["start"]

    own = {"_target_": "ebm_cli.start.descent.Descent", "sigma": [0.7, 3.0], "steps": 5}
    assert start() == own
    assert start("start=descent", "start.steps=2") == own | {"steps": 2}
    assert "Noise" in str(start("start=noise")["_target_"])
    few = ["samples=16", "steps=4", "burn_in=0", "metric=[distance_to_truth]", "metric.distance_to_truth.resolution=64"]
    assert main(["evaluate", "run=run", *few]) == 0
