"""Every YAML names its class, gives every argument once with a comment, and builds."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ebm_cli import check
from ebm_cli.assembly.assemble import assemble
from ebm_cli.assembly.build import INJECTED, locate
from ebm_cli.assembly.weights import load_weights
from ebm_cli.chain.engine import resolve_engine
from ebm_cli.chain.tuning import Tuning
from ebm_cli.check import InputError
from ebm_cli.cli.compose import compose
from ebm_cli.cli.keys import LIST_GROUPS, keys_of
from ebm_cli.cli.loader import Base
from ebm_cli.cli.words import parse
from ebm_cli.run.folder import FIGURES, Run
from ebm_cli.run.machine import resolve
from ebm_cli.sampling.film import check_film
from ebm_cli.training.trainer import Trainer
from tests.contract import CONF, GROUPS, PACKAGE, History, build, config, energies, options

FILES = [(group, name) for group in GROUPS for name in options(group)]
VERB = {"regularizer": "train", "metric": "evaluate", "diagnostic": "diagnose"}


def test_the_groups_are_the_folders_of_conf_that_hold_targets() -> None:
    assert {path.name for path in CONF.iterdir() if path.is_dir()} == {*GROUPS, "experiment"}


def test_every_implementation_has_a_yaml_of_its_name_and_the_other_way_round() -> None:
    for group in GROUPS:
        modules = {path.stem for path in (PACKAGE / group).glob("*.py") if not path.stem.startswith("_")}
        assert modules == set(options(group)), group
        assert config(group, "custom") == {"_target_": "???"}, "every group takes a class of the user's own"


def test_target_lies_in_the_module_of_the_same_name() -> None:
    wrong = [
        f"{group}/{name}"
        for group, name in FILES
        if config(group, name)["_target_"].rpartition(".")[0] != f"ebm_cli.{group}.{name}"
    ]
    assert wrong == []


def test_keys_are_the_signature_without_what_is_offered_and_without_defaults() -> None:
    faults = []
    for group, name in FILES:
        node = config(group, name)
        parameters = inspect.signature(locate(node["_target_"])).parameters
        differing = (set(node) - {"_target_"}) ^ (set(parameters) - (set(INJECTED) - set(node)))
        faults += [f"{group}/{name}: {key} is only in one of the two" for key in differing]
        faults += [f"{group}/{name}: {p.name} has a default" for p in parameters.values() if p.default is not p.empty]
    assert faults == []


def test_every_key_has_a_comment() -> None:
    bare = [
        f"{group}/{name}: {line}"
        for group, name in FILES
        for line in (CONF / group / f"{name}.yaml").read_text().splitlines()
        if re.match(r"\s*[a-z]\w*:", line) and not re.search(r"  # \S", line)
    ]
    assert bare == []


def test_alternatives_in_a_comment_are_those_that_the_class_takes() -> None:
    data, sampler = build("data", "gaussians_8", {"n": 500}), build("sampler", "sgld")
    start = build("start", "noise", event=(2,))
    offered = {"event": (2,), "data": data, "sampler": sampler, "start": start, "engine": "eager"}
    faults, tried = [], 0
    for group, name in FILES:
        for key in keys_of(CONF / group / f"{name}.yaml"):
            if key.alternatives:
                odd = "no_such" if key.default[0] != "[" else ["no_such"]
                with pytest.raises(InputError, match="must be one of") as caught:
                    build(group, name, {key.name: odd}, **offered)
                taken = re.findall(rf"{key.name} must be one of (.+), got", str(caught.value))[0]
                tried += 1
                if taken.split(", ") != key.alternatives:
                    faults.append(f"{group}/{name}: {key.name} takes {taken}")
    assert faults == [] and tried >= 19


TAKERS: dict[str, Callable[[str], object]] = {
    "device": lambda word: resolve(word, "float32", 1),
    "film": lambda word: check_film(word),
    "figures": lambda word: check.one_of("figures", word, FIGURES),
    "dtype": lambda word: resolve("cpu", word, 1),
    "engine": lambda word: resolve_engine(word, "cpu", True, 1),
    "adapt": lambda word: Tuning(word, None, 0.05),
    "weights": lambda word: load_weights(build("energy", "double_well", event=(1,)), Run(Path()), "last", word),
    "checkpoint": lambda word: Run(Path()).checkpoint(word),
    "trainer.on_divergence": lambda word: Trainer(1, 1, None, 1, 1, None, None, None, 1, 1, word, 1, 0.5),
}


def test_a_verbs_alternatives_are_those_that_it_takes() -> None:
    for verb in ("train", "sample", "evaluate", "diagnose"):
        keys = [key for key in keys_of(CONF / f"{verb}.yaml") if key.alternatives]
        assert keys
        for key in keys:
            with pytest.raises(InputError) as caught:
                TAKERS[key.name]("no_such")
            taken = re.findall(r"must be (?:one of )?(.+), got", str(caught.value))[0]
            assert re.split(", | or ", taken.replace(" or a step", "")) == key.alternatives, (verb, key.name)


def test_a_list_groups_files_say_their_package_and_no_others_do() -> None:
    wrong = [
        str(path)
        for group in GROUPS
        for path in (CONF / group).glob("*.yaml")
        if (f"# @package {group}.{path.stem}" == path.read_text().splitlines()[0]) != (group in LIST_GROUPS)
        or ("@package" in path.read_text()) != (group in LIST_GROUPS)
    ]
    assert wrong == []


def test_every_yaml_builds_its_own_class() -> None:
    event, faults = (1, 8, 8), []
    data, sampler = build("data", "gaussians_8", {"n": 500}), build("sampler", "sgld")
    start = build("start", "noise", event=event)
    energy = build("energy", "mlp", {"noise_level": 0.1}, event=event)
    offered = {"event": event, "data": data, "sampler": sampler, "start": start, "engine": "eager", "energy": energy}
    offered |= {"path": build("path", "hot"), "record": None, "run": History({100: {}})}
    for group, name in FILES:
        # Energies that store rows need rows of their own shape.
        built = build(
            group, name, **offered | ({"data": None, "event": dict(energies())[name]} if group == "energy" else {})
        )
        if type(built) is not locate(config(group, name)["_target_"]):
            faults.append(f"{group}/{name} builds {type(built)}")
    assert faults == []


def test_composing_all_of_a_list_group_gives_a_node_each() -> None:
    for group in LIST_GROUPS:
        names = [*options(group), "custom"]
        line = [f"{group}=[{','.join(names)}]", f"{group}.custom._target_=mine.Own"]
        if group == "metric":
            line += ["energy=quadratic", "data=gaussians_8"]
        assert set(compose(VERB[group], parse(line), Base())[group]) == set(names)


@pytest.mark.parametrize("name", options("experiment"))
def test_every_experiment_composes_and_its_parts_build(name: str, tmp_path: Path) -> None:
    words = [f"experiment={name}", "device=cpu"]
    if name == "categories":
        table = tmp_path / "words.csv"
        table.write_text("cap,odor\n" + "flat,none\nbell,foul\n" * 30)
        words.append(f"data.path={table}")
    if name in options("data") and "path" in config("data", name):
        words.append(f"data.path={config('data', name)['path']}")
    composed = compose("train", parse(words), Base())
    machine = resolve("cpu", composed["dtype"], 1)
    with machine.activate():
        parts = assemble(composed, machine)
    assert None not in (parts.data, parts.start, parts.objective, parts.optimizer)
