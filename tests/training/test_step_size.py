"""Test step sizes before training: new samplers get one that fits the data, recipes keep theirs."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from ebm_cli.assembly.assemble import assemble
from ebm_cli.assembly.components import Parts
from ebm_cli.chain.tuning import Tuning
from ebm_cli.cli import main
from ebm_cli.cli.compose import compose
from ebm_cli.cli.loader import Base
from ebm_cli.cli.words import parse
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import resolve
from ebm_cli.sampler.mala import MALA
from ebm_cli.training import rollback
from ebm_cli.training.state import first_state
from ebm_cli.training.step_size import DataEnergy, gradients_per_step, stand_in_energy, tune
from ebm_cli.training.trainer import Trainer
from tests.contract import build, config, options

# A recipe cut short: what is tuned does not depend on these.
SHORT = ["start.size=64", "trainer.batch_size=32", "trainer.steps=3", "trainer.log_every=1", "energy.width=8"]
RECIPES = [name for name in options("experiment") if name not in ("table", "images", "categories")]


def composed(*words: str) -> dict[str, Any]:
    return compose("train", parse(list(words)), Base())


def option_of(group: str, target: str) -> str:
    return next(name for name in options(group) if config(group, name)["_target_"] == target)


@pytest.mark.parametrize("recipe", RECIPES)
def test_naming_the_recipes_own_option_changes_nothing(recipe: str) -> None:
    plain = composed(f"experiment={recipe}")
    groups = ("energy", "data", "sampler", "start", "objective", "optimizer")
    again = [f"{group}={option_of(group, plain[group]['_target_'])}" for group in groups]
    assert composed(f"experiment={recipe}", *again) == plain


def test_a_value_typed_with_the_recipes_own_option_changes_only_that_value() -> None:
    plain, typed = composed("experiment=digits"), composed("experiment=digits", "sampler=sghmc", "sampler.friction=0.5")
    assert typed["sampler"] == plain["sampler"] | {"friction": 0.5}
    both = composed("experiment=digits", "regularizer=[denoising,gradient_norm]", "regularizer.gradient_norm.weight=3")
    assert both["regularizer"]["denoising"] == plain["regularizer"]["denoising"]
    assert both["regularizer"]["gradient_norm"]["weight"] == 3


def test_another_sampler_has_nothing_of_the_recipes() -> None:
    typed = composed("experiment=digits", "sampler=mala")
    assert typed["sampler"] == config("sampler", "mala")
    assert typed["replaced"] == {"sampler": composed("experiment=digits")["sampler"], "steps": 20}
    assert "replaced" not in composed("experiment=digits", "sampler=sghmc")


def parts_of(*words: str) -> Parts:
    place = resolve("cpu", "float32", 1)
    with place.activate():
        return assemble(composed(*words, "device=cpu"), place)


@pytest.mark.parametrize("std", [0.1, 1.0, 30.0])
def test_an_unadjusted_kernel_has_its_target_bias_in_the_datas_own_curvature(std: float) -> None:
    parts = parts_of("data=gaussian", f"data.std={std}", "data.n=2000", "experiment=null", "sampler=sgld")
    assert parts.data is not None
    energy = stand_in_energy(parts, parts.data)
    rng = torch.Generator().manual_seed(0)
    sampler = tune(parts.sampler, Tuning("step"), energy, parts.data.sample(64, rng).x, rng)
    # η = 2b/(a(1 + b)) with a = 1/std² on a Gaussian; 500 rows give its variance to 6 %, four errors are 25 %.
    assert sampler.step_size == pytest.approx(2 * 0.05 / 1.05 * std**2, rel=0.25)


@pytest.mark.parametrize("name", ["mala", "hmc", "jump_mala"])
def test_an_adjusted_kernel_reaches_its_target_acceptance(name: str) -> None:
    parts = parts_of("data=gaussian", "data.n=500", "experiment=null", f"sampler={name}")
    assert parts.data is not None
    energy = stand_in_energy(parts, parts.data)
    rng = torch.Generator().manual_seed(0)
    x = parts.data.sample(64, rng).x
    sampler = tune(parts.sampler, Tuning("step"), energy, x, rng)
    if name == "jump_mala":
        assert sampler.jump_probability == parts.sampler.jump_probability  # pyright: ignore[reportAttributeAccessIssue]
        sampler = sampler.local_kernel()
    state, accepted = sampler.init(energy, x, rng), []
    with torch.no_grad():
        for _ in range(200):
            state, info = sampler.step(energy, state, rng)
            accepted.append(info.accept.mean())
    means = torch.stack(accepted)
    # Dual averaging itself is off by some hundredths after its steps.
    assert abs(float(means.mean()) - sampler.best_acceptance) < 0.08


def test_gradients_per_step_equal_the_kernels_counts() -> None:
    energy, x = build("energy", "quadratic", event=(2,)), torch.randn(8, 2)
    rng = torch.Generator().manual_seed(0)
    for name, changes, expected in (("mala", {}, 1), ("hmc", {"leapfrog_steps": 7}, 7), ("sghmc", {}, 1)):
        assert gradients_per_step(build("sampler", name, changes), energy, x, rng) == expected


def test_the_density_fitted_to_data_has_the_datas_temperature() -> None:
    parts = parts_of("data=gaussians_8", "experiment=null", "sampler=mala", "sampler.temperature=2")
    assert parts.data is not None
    energy = stand_in_energy(parts, parts.data)
    assert isinstance(energy, DataEnergy)
    x = parts.data.split("held_out").x
    with torch.no_grad():
        # −E/T is a log-density that data reach about as well as under their own.
        gap = (-energy(x) / 2 - parts.data.log_prob(x)).mean()  # pyright: ignore[reportAttributeAccessIssue]
    assert abs(float(gap)) < 0.1


def trained(out: Path, *words: str) -> dict[str, Any]:
    assert main(["train", *SHORT, f"out={out}", *words]) == 0
    return yaml.safe_load((out / "config.yaml").read_text())


@pytest.mark.usefixtures("quick_search")
def test_a_sampler_that_replaces_the_recipes_is_tuned_printed_and_stored(tmp_path: Path, capsys) -> None:
    stored = trained(tmp_path / "run", "experiment=two_moons", "sampler=hmc", "sampler.leapfrog_steps=5")
    assert stored["adapt"] == "none" and stored["replaced"]["sampler"]["_target_"].endswith("JumpMALA")
    assert stored["sampler"]["step_size"] != config("sampler", "hmc")["step_size"]
    assert stored["objective"]["steps"] == 1
    printed = capsys.readouterr().err
    assert "found on a density fitted to the data; objective.steps 1, about as many gradients as 5" in printed


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["sampler=discrete_langevin"], "sampler: step_size 0.2, the default; objective.steps 4, about"),
        (["path=rates", "path.betas=[1,0.5,0]"], "sampler: objective.steps 1, about"),
    ],
)
def test_a_sampler_that_replaces_that_of_discrete_states_costs_as_much(
    words: list[str], printed: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    short = ["start.size=64", "trainer.batch_size=32", "trainer.steps=3", "energy.hidden=8", f"out={tmp_path / 'run'}"]
    assert main(["train", "experiment=digits_binary", *short, *words]) == 0
    # A Gibbs sweep of a Boltzmann machine costs two evaluations, a Langevin step one.
    assert printed in capsys.readouterr().err


@pytest.mark.usefixtures("quick_search")
def test_typed_values_are_not_changed(tmp_path: Path) -> None:
    words = ["experiment=two_moons", "sampler=hmc", "sampler.step_size=0.03", "objective.steps=2"]
    stored = trained(tmp_path / "both", *words)
    assert stored["sampler"]["step_size"] == 0.03 and stored["objective"]["steps"] == 2
    stored = trained(tmp_path / "none", "experiment=two_moons", "sampler=mala", "adapt=none")
    assert stored["sampler"]["step_size"] == config("sampler", "mala")["step_size"]


def test_the_recipes_own_sampler_by_name_trains_on_the_same_bits(tmp_path: Path) -> None:
    for name, words in (("plain", []), ("named", ["sampler=jump_mala", "energy=mlp"])):
        trained(tmp_path / name, "experiment=two_moons", *words)
    first, second = (tmp_path / name / "checkpoints/step-3/state.safetensors" for name in ("plain", "named"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.usefixtures("quick_search")
def test_a_run_that_was_tuned_resumes_on_the_same_bits(tmp_path: Path) -> None:
    words = ["experiment=two_moons", "sampler=sghmc", "trainer.checkpoint_every=2"]
    trained(tmp_path / "whole", *words, "trainer.steps=4")
    trained(tmp_path / "cut", *words, "trainer.steps=2")
    assert main(["train", f"resume={tmp_path / 'cut'}", "trainer.steps=4"]) == 0
    states = [json.loads((tmp_path / n / "checkpoints/step-4/state.json").read_text()) for n in ("whole", "cut")]
    assert states[0]["sha256"] == states[1]["sha256"]


def test_objective_regularizers_and_rollback_share_one_sampler(tmp_path: Path) -> None:
    words = ["data=two_moons", "experiment=null", "sampler=sgld", "regularizer=[contrastive_kl]", *SHORT]
    whole = composed(*words, "device=cpu")
    place = resolve("cpu", "float32", 1)
    with place.activate():
        parts = assemble(whole, place)
        state = first_state(parts, Trainer(**whole["trainer"]), 0)
        run = Run(tmp_path)
        run.write_config(whole | {"made": {}})
        (tmp_path / rollback.RECORD).write_text(json.dumps([{"lr": 1e-3, "step_size": 0.005}]))
        lowered = rollback.with_last_values(parts, state, run)
    term = lowered.regularizers["contrastive_kl"]
    assert lowered.sampler is lowered.objective.sampler is term.sampler  # pyright: ignore
    assert lowered.sampler.step_size == 0.005  # pyright: ignore[reportAttributeAccessIssue]


def test_one_call_replaces_the_sampler_in_parts_made_of_parts() -> None:
    parts = parts_of(
        "data=digits", "experiment=null", "objective=joint_classifier", "energy=classifier", "sampler=mala"
    )
    new = MALA(0.007, 1.0, None)
    parts = parts.with_sampler(new)
    parts.set_chain_steps(3)
    assert parts.objective is not None
    assert parts.objective.contrastive.sampler is new and parts.objective.steps == 3  # pyright: ignore


def test_a_run_started_from_another_with_a_recipe_takes_all_of_the_recipe(tmp_path: Path, monkeypatch) -> None:
    from ebm_cli.cli.prepare import prepare

    trained(tmp_path / "run", "experiment=two_moons")
    job = prepare("train", parse([f"init={tmp_path / 'run'}", "experiment=rings"]))
    plain = composed("experiment=rings")
    for group in ("data", "sampler", "start", "objective", "optimizer", "trainer"):
        assert job.config[group] == plain[group], group
    assert job.config["energy"] == yaml.safe_load((tmp_path / "run/config.yaml").read_text())["energy"]
