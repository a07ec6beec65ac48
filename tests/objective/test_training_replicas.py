"""Replica exchange in training: chains change modes, replicas continue, and places of replicas follow the model."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from ebm_cli.chain.pilot import Ladder
from ebm_cli.cli import main
from ebm_cli.data import Batch
from ebm_cli.data._sites import Sites
from ebm_cli.energy import frozen
from ebm_cli.objective.contrastive import Contrastive
from ebm_cli.path import _drawn_path
from ebm_cli.run.folder import Run
from ebm_cli.sampler import Sampler
from tests.contract import build

CHAINS = 128
# The model has 80 % of its mass in the mode at +6. Half of the rows are in each mode.
HEAVY, APART = 0.8, 6.0
TINY = "train data=gaussians_8 energy.width=8 trainer.batch_size=16 trainer.checkpoint_every=5 trainer.log_every=1"
ALONG_BASE = (
    f"{TINY} path=base path.base=gaussian path.renew_every=4 objective.chains=8 optimizer.decay=constant threads=1"
)


def two_modes() -> nn.Module:
    means = [[APART, 0.0], [-APART, 0.0]]
    return build("energy", "gaussian_mixture", {"means": means, "stds": [1.0, 1.0], "weights": [HEAVY, 1 - HEAVY]})


def rows(rng: torch.Generator, n: int = 400) -> torch.Tensor:
    x = torch.randn(n, 2, generator=rng)
    x[: n // 2, 0] += APART
    x[n // 2 :, 0] -= APART
    return x


def sampler_of(name: str, x: torch.Tensor, renew_every: int = 10) -> Sampler:
    if name == "mala":
        return build("sampler", "mala", {"step_size": 0.5})
    path = build("path", "base", {"base": "gaussian", "renew_every": renew_every}, data=Batch(x))
    kernel = build("sampler", "hmc", {"leapfrog_steps": 3})
    return build("sampler", "tempering", {"kernel": kernel}, path=path)


def objective(sampler: Sampler, event: tuple[int, ...] = (2,)) -> Contrastive:
    start = build("start", "replay", {"size": CHAINS, "restart": 0.0}, event=event)
    words = {"steps": 1, "chains": CHAINS}
    return build("objective", "contrastive", words, sampler=sampler, start=start, engine="eager")


@pytest.mark.parametrize(("name", "mixes"), [("tempering", True), ("mala", False)])
def test_only_chains_along_a_path_reach_the_models_shares_of_far_modes(
    name: str, mixes: bool, rng: torch.Generator
) -> None:
    energy, x = two_modes(), rows(rng)
    assert reaches_share(HEAVY, objective(sampler_of(name, x)), energy, x, rng) == mixes


@pytest.mark.parametrize(
    ("kernel", "along"), [("discrete_langevin", True), ("gibbs_with_gradients", True), ("gibbs", False)]
)
def test_only_chains_along_rates_reach_the_models_shares_of_spins_that_agree(
    kernel: str, along: bool, rng: torch.Generator
) -> None:
    energy = build("energy", "ising", {"coupling": 1.0, "field": 0.07}, event=(3, 3))
    states = Sites("spin", (3, 3)).all_states(torch.device("cpu"), torch.float32)
    p = (-energy(states).detach().double()).softmax(0)
    x = torch.where(torch.rand(400, 3, 3, generator=rng) < 0.95, 1.0, -1.0)
    x[::2] *= -1
    sampler = build("sampler", kernel)
    if along:
        path = build("path", "rates", {"renew_every": 50}, data=Batch(x))
        sampler = build("sampler", "tempering", {"kernel": sampler}, path=path)
    share = float(p[states.flatten(1).sum(1) > 0].sum())
    assert reaches_share(share, objective(sampler, (3, 3)), energy, x, rng) == along


def reaches_share(share: float, loss: Contrastive, energy: nn.Module, x: torch.Tensor, rng: torch.Generator) -> bool:
    """Return True if chains come to this share of states whose first coordinate, or whose sum of spins, is positive."""
    shares = []
    with frozen(energy):
        for _ in range(120):
            states = loss(energy, Batch(x[:CHAINS]), rng).x_model
            assert states is not None
            signs = states[:, 0] if states.ndim == 2 else states.flatten(1).sum(1)
            shares.append(float((signs > 0).double().mean()))
    # Blocks of 20 training steps are about independent: one round trip takes less.
    last = torch.tensor(shares[-100:]).view(5, 20).mean(1)
    error = max(float(last.std()) / 5**0.5, (share * (1 - share) / (CHAINS * 5)) ** 0.5)
    return abs(float(last.mean()) - share) < 4 * error


def test_replicas_continue_and_swaps_alternate_across_training_steps(rng: torch.Generator) -> None:
    energy, x = two_modes(), rows(rng)
    loss = objective(sampler_of("tempering", x))
    with frozen(energy):
        loss(energy, Batch(x[:CHAINS]), rng)
        assert loss.replicas is not None and loss.replicas.odd
        kept = loss.start.replicas  # pyright: ignore[reportAttributeAccessIssue]
        again = loss.start.draw(CHAINS, None, rng)
        assert torch.equal(again.replicas, kept[again.rows])  # pyright: ignore[reportArgumentType]
        assert torch.equal(again.x, again.replicas[:, 0])  # pyright: ignore[reportOptionalSubscript]
        loss(energy, Batch(x[:CHAINS]), rng)
        assert not loss.replicas.odd


def test_places_are_found_again_when_they_are_due(rng: torch.Generator) -> None:
    x, energy = rows(rng), two_modes()
    loss = objective(sampler_of("tempering", x))
    found = []
    with frozen(energy):
        for _ in range(11):
            loss(energy, Batch(x[:CHAINS]), rng)
            assert loss.replicas is not None
            assert loss.replicas.ladder is not None
            found.append(loss.replicas.ladder.betas)
    assert all(betas is found[0] for betas in found[:10]) and found[10] is not found[0]


def training(words: str, folder: Path) -> tuple[Any, list[dict[str, Any]]]:
    assert main([*words.split(), f"out={folder}"] if "resume=" not in words else words.split()) == 0
    run = Run(folder)
    return yaml.safe_load((folder / "config.yaml").read_text()), [row for row in run.history() if "loss" in row]


def test_a_run_resumes_on_the_same_bits_with_its_replicas(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    config, history = training(f"{ALONG_BASE} trainer.steps=12", whole)
    assert config["sampler"]["kernel"]["leapfrog_steps"] == 4 and config["objective"]["steps"] == 1
    assert config["start"]["size"] == 8 and config["start"]["restart"] == 0
    training(f"{ALONG_BASE} trainer.steps=6", parts)
    _, resumed = training(f"train resume={parts} trainer.steps=12", parts)
    for name in ("loss", "e_model", "swap_rate_min"):
        assert [row[name] for row in resumed] == [row[name] for row in history], name


def test_a_resumed_run_fits_the_base_of_its_path_once(rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, energy, fits = rows(rng), two_modes(), []
    before, resumed = (objective(sampler_of("tempering", x)) for _ in range(2))
    with frozen(energy):
        before(energy, Batch(x[:CHAINS]), rng)
        resumed.load_state_dict(before.state_dict())
        fit_base = _drawn_path.fit_base
        monkeypatch.setattr(_drawn_path, "fit_base", lambda *given: (fits.append(given), fit_base(*given))[1])
        for _ in range(3):
            resumed(energy, Batch(x[:CHAINS]), rng)
    assert len(fits) == 1


def test_steps_follow_the_acceptance_between_pilot_runs(rng: torch.Generator) -> None:
    x, energy = rows(rng), two_modes()
    loss = objective(sampler_of("tempering", x, renew_every=1000))
    assert loss.replicas is not None
    with frozen(energy):
        loss(energy, Batch(x[:CHAINS]), rng)
        ladder = loss.replicas.ladder
        assert ladder is not None
        # Steps that are far too long become shorter at once, and the acceptance recovers.
        loss.replicas.ladder = Ladder(ladder.betas, [4 * step for step in ladder.step_sizes])
        accept = [float(loss(energy, Batch(x[:CHAINS]), rng).scalars["acceptance"]) for _ in range(25)]
    assert accept[0] < 0.3 and accept[-1] > 0.5
