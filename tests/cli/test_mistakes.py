"""Test a hundred mistakes of a user: exit code 2, and a few lines that name the mistake and never blame ebm."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from ebm_cli.cli import main
from ebm_cli.cli.sweep_plan import create_sweep, new_plan
from ebm_cli.cli.words import parse

TINY = ["trainer.steps=2", "trainer.batch_size=8", "start.size=16", "objective.steps=1", "energy.width=8"]
OWN = "energy=custom energy._target_=mine."

# Command line and what its message holds.
MISTAKES = [
    # The words of the line.
    ("trian", ["trian", "'train'"]),
    ("sample energy", ["'energy'", "KEY=VALUE"]),
    ("sample --steps=3 energy=double_well", ["--steps=3"]),
    ("sample energy=double_well =1", ["'=1'", "no key"]),
    ("sample energy=double_well +=1", ["'+=1'", "no key"]),
    ("sample energy=double_well steps=", ["steps must be"]),
    ("sample energy=double_well event=[2,", ["event=[2,"]),
    ("sample energy=double_well name='a", ["name"]),
    ("sample energy=double_well chains={", ["chains={"]),
    ("sample energy=double_well smpler=mala", ["smpler", "'sampler'"]),
    ("sample enrgy=double_well", ["enrgy", "'energy'"]),
    ("sample energy=double_well setps=3", ["setps", "'steps'"]),
    ("sample energy=double_well sampler=mala sampler.stepsize=3", ["sampler.stepsize", "'sampler.step_size'"]),
    ("sample energy=double_well sampler.frobnicate=3", ["sampler.frobnicate"]),
    ("sample energy=double_well sampler=mala,sgld", ["-m"]),
    ("sample energy=double_well sampler=[mala,sgld]", ["sampler takes one name"]),
    ("sample energy=null", ["energy"]),
    ("sample energy=double_well sampler=null", ["sampler must name one of"]),
    ("sample energy=double_well objective=exact", ["objective is not a group of ebm sample"]),
    ("diagnose energy=double_well run=flat.npy", ["energy is not a group of ebm diagnose"]),
    ("evaluate energy=double_well metric=nll", ["metric"]),
    (
        "sample energy=double_well sampler=mala +sampler.step_size=1",
        ["sampler.step_size exists already", "without the +"],
    ),
    ("train experiment=gaussains_8", ["gaussains_8", "'gaussians_8'"]),
    ("train data=two_mons", ["two_mons", "'two_moons'"]),
    ("train regularizer.gradient_norm.at=line", ["regularizer.gradient_norm.at", "'regularizer=[gradient_norm]'"]),
    ("train regularizer.gradient_nrom.at=line", ["'regularizer=[gradient_norm]'"]),
    ("evaluate energy=double_well metric.nll.base=flow", ["metric.nll.base", "'metric=[nll]'"]),
    # Numbers.
    ("sample energy=double_well steps=ten", ["steps must be auto or a whole number", "ten"]),
    ("sample energy=double_well steps=0", ["steps must be >= 1"]),
    ("sample energy=double_well burn_in=-1", ["burn_in must be >= 0"]),
    ("sample energy=double_well thin=0", ["thin must be >= 1"]),
    ("sample energy=double_well chains=-4", ["chains must be >= 1"]),
    ("sample energy=double_well sampler.temperature=-1", ["sampler.temperature"]),
    ("sample energy=double_well sampler=mala sampler.step_size=nan", ["sampler.step_size"]),
    ("sample energy=double_well sampler=mala sampler.step_size=inf", ["sampler.step_size"]),
    ("sample energy=double_well sampler=mala sampler.step_size=true", ["sampler.step_size must be a number"]),
    ("sample energy=double_well seed=-1", ["seed must be >= 0"]),
    ("sample energy=double_well threads=0", ["threads"]),
    ("sample energy=double_well device=tpu", ["device", "tpu"]),
    ("sample energy=double_well dtype=float16", ["dtype", "float16"]),
    ("sample energy=quadratic event=[0]", ["event must be >= 1"]),
    ("sample energy=quadratic event=[two]", ["event"]),
    ("sample energy=quadratic event=[2] energy.a=-1", ["energy.a"]),
    ("sample energy=gaussian_mixture energy.stds=[-1,1]", ["energy"]),
    ("sample energy=double_well sampler=sghmc sampler.friction=2", ["sampler.friction", "2"]),
    ("sample energy=double_well sampler=hmc sampler.leapfrog_steps=0", ["sampler.leapfrog_steps must be >= 1"]),
    ("sample energy=double_well sampler=nuts sampler.max_depth=0", ["sampler.max_depth"]),
    ("train experiment=gaussians_8 trainer.batch_size=0", ["trainer.batch_size must be >= 1"]),
    ("train experiment=gaussians_8 trainer.ema_decay=1", ["trainer.ema_decay must be in [0, 1)"]),
    ("train experiment=gaussians_8 trainer.on_divergence=stopp", ["trainer.on_divergence", "'stop'"]),
    ("train experiment=gaussians_8 trainer.keep=0", ["trainer.keep must be >= 1"]),
    ("train experiment=gaussians_8 optimizer.lr=0", ["optimizer.lr must be > 0"]),
    ("train experiment=gaussians_8 optimizer.decay=cosin", ["optimizer.decay", "'cosine'"]),
    ("train experiment=gaussians_8 optimizer.clip=-1", ["optimizer.clip must be > 0"]),
    ("train experiment=gaussians_8 start.size=0", ["start.size"]),
    ("train experiment=gaussians_8 energy.width=0", ["energy.width must be >= 1"]),
    ("train experiment=gaussians_8 energy.depth=x", ["energy.depth must be a number"]),
    ("train experiment=gaussians_8 objective.steps=-1", ["objective.steps"]),
    ("evaluate energy=double_well metric=[log_z] budget=0", ["budget"]),
    ("evaluate energy=double_well metric=[log_z] temperature=-1", ["temperature must be >= 0"]),
    ("evaluate energy=double_well metric=[]", ["metric must name at least one"]),
    # Several at once.
    (
        "train data=gaussians_8 sampler.step_size=-1 trainer.steps=0 optimizer.lr=-3",
        ["sampler.step_size", "trainer.steps", "optimizer.lr"],
    ),
    (
        "train data=gaussians_8 trainer.steps=0 trainer.keep=0 optimizer.lr=-3 optimizer.warmup=-1",
        ["trainer.steps", "trainer.keep", "optimizer.lr", "optimizer.warmup"],
    ),
    (
        "sample energy=double_well sampler=mala chains=0 steps=0 sampler.step_size=-1",
        ["chains", "steps", "sampler.step_size"],
    ),
    ("sample -m energy=double_well sampler.temperature=1,-1,abc", ["-1", "'abc'"]),
    (
        "sample energy=double_well sampler=mala sampler.step_size=abc steps=-1 chains=0 event=[0]",
        ["sampler.step_size must be a number", "steps must be >= 1", "chains must be >= 1", "event must be >= 1"],
    ),
    (
        "sample energy=double_well sampler=malla sampler.step_size=3 chains=0 start.distribution=unif",
        ["'mala'", "chains must be >= 1", "start.distribution must be one of", "'uniform'"],
    ),
    (
        "train experiment=gaussians_8 trainer.steps=ten optimizer.lr=-1 event=[3] start.scael=2",
        ["trainer.steps must be a number", "optimizer.lr must be > 0", "event=[3] does not fit", "'start.scale'"],
    ),
    ("evaluate energy=double_well temperature=-1 budget=x samples=1", ["temperature", "budget", "samples"]),
    ("sample -m energy=double_well sampler=mala steps=0,5 sampler.step_size=0", ["steps must be", "sampler.step_size"]),
    # Sweeps.
    ("sample -m energy=double_well seed=glob(*)", ["seed=glob(*)", "lists no values to sweep over"]),
    ("sample -m energy=double_well seed=range(3,3)", ["seed=range(3,3)", "no values"]),
    ("sample -m energy=double_well,dobule_well", ["dobule_well", "'double_well'"]),
    ("sample -m run=none,trained", ["run=none does not exist"]),
    ("train -m experiment=gaussians_8 optimizer.lr=1,0", ["optimizer.lr must be > 0, got 0"]),
    ("sample -m energy=double_well event=[0],[1],[-1]", ["event must be >= 1, got 0", "event must be >= 1, got -1"]),
    ("sample -m energy=muller_brown sampler.temperature=1,2 event=[3]", ["event is [2]", "[3]"]),
    ("sample -m energy=muller_brown start=noise,replay", ["start=replay", "run=RUN"]),
    ("sample -m energy=muller_brown start=noise,data start.scale=-1", ["start.scale must be > 0", "data must be"]),
    ("sample -m energy=muller_brown device=cpu,gpu", ["device must be", "'gpu'"]),
    ("train -m experiment=gaussians_8 energy.width=8,0", ["energy.width must be >= 1, got 0"]),
    ("train -m experiment=two_moons data=table data.path=a.csv,b.csv", ["a.csv", "b.csv"]),
    ("sample resume=sweep chains=3", ["resume=sweep", "no other key"]),
    ("train resume=sweep", ["sweep of ebm sample, not of ebm train"]),
    ("sample run=sweep", ["a sweep's folder"]),
    # Runs.
    ("sample run=nowhere", ["run=nowhere does not exist"]),
    ("sample run=traind", ["run=traind does not exist", "'trained'"]),
    ("sample run=empty", ["has no config.yaml"]),
    ("sample run=table.csv", ["table.csv"]),
    ("sample run=latest", ["run=latest", "no run of ebm train"]),
    ("sample run=latest/sample", ["latest/sample"]),
    ("sample run=trained energy=mlp", ["energy comes from run="]),
    ("sample run=trained checkpoint=7", ["checkpoint", "7", "steps [0, 2]"]),
    ("sample run=trained checkpoint=newest", ["checkpoint must be last, best or a step"]),
    ("sample run=trained weights=avg", ["weights must be one of", "'averaged'"]),
    ("sample run=trained trust=perhaps", ["trust must be true or false"]),
    ("sample run=foreign", ["energy._target_=mine.Ring", "foreign", "trust=true"]),
    ("train init=trained energy.width=32", ["energy does not fit the weights", "shape", "8", "32"]),
    ("train resume=trained energy.width=32", ["energy.width cannot change on resume", "init="]),
    ("train resume=nowhere", ["resume=nowhere does not exist"]),
    ("diagnose run=trained", ["of ebm train", "ebm sample run="]),
    ("diagnose run=none.nc", ["none.nc does not exist"]),
    ("diagnose run=table.csv", ["table.csv"]),
    ("diagnose run=flat.npy", ["flat.npy", "(chain, draw, *event)"]),
    ("diagnose run=words.npy", ["words.npy"]),
    ("diagnose run=broken.nc", ["broken.nc cannot be read"]),
    ("sample energy=double_well start=replay", ["start"]),
    # Folders.
    ("sample energy=double_well out=empty", ["out=empty exists already"]),
    ("sample energy=double_well out=table.csv/run", ["out=table.csv/run cannot be made"]),
    ("sample energy=double_well name=a/b", ["name", "a/b"]),
    # Data.
    ("train data=table", ["data.path must be given"]),
    ("train data=table data.path=none.csv", ["none.csv"]),
    ("train data=table data.path=empty", ["empty is a folder"]),
    ("train data=images data.path=none", ["none"]),
    # A user's own classes.
    ("sample energy=mine.Ring event=[2]", ["energy=custom energy._target_=mine.Ring"]),
    ("evaluate energy=double_well metric=[mine.Own]", ["'metric=[custom]' metric.custom._target_=mine.Own"]),
    (OWN + "Ring +energy.radius=2", ["event is unknown"]),
    (OWN + "Ring energy.radius=2 event=[2]", ["energy.radius", "+energy.radius=2"]),
    (OWN + "Ring event=[2]", ["energy.radius must be given", "type a + before"]),
    (OWN + "Ring +energy.raduis=2 event=[2]", ["energy.raduis", "'radius'"]),
    (OWN + "Rign event=[2]", ["Rign", "'Ring'"]),
    (OWN + "ring event=[2]", ["mine has no class 'ring'"]),
    (OWN + "Broken event=[2]", ["cannot be built", "ZeroDivisionError"]),
    (OWN + "NoModule event=[2]", ["torch.nn.Module"]),
    (
        "energy=custom energy._target_=typo.Ring event=[2]",
        ["_target_=typo.Ring", "importing typo fails", "SyntaxError"],
    ),
    ("energy=custom energy._target_=Ring event=[2]", ["MODULE.CLASS"]),
    ("energy=custom energy._target_=[1,2] event=[2]", ["_target_ must be MODULE.CLASS, got [1, 2]"]),
    ("energy=custom energy._target_=..Ring event=[2]", ["MODULE.CLASS"]),
    ("energy=gaussian_mixture energy.stds.x=1", ["energy.stds.x is not a known key"]),
    ("energy=double_well sampler={_target_:os.system}", ["sampler"]),
    ("diagnose run=flat.npy ~diagnostic=[ess]", ["diagnostic"]),
    ("train resume=trained trainer.steps=glob(*)", ["trainer.steps takes one value on resume"]),
    ("train resume=trained trainer.steps=0", ["trainer.steps must be >= 1"]),
    ("sample -m energy=double_well seed=0.5,x threads=abc", ["seed must be", "0.5", "'x'", "threads"]),
    ("energy=double_well energy._target_=mine.Ring", ["energy._target_", "energy=custom"]),
    ("energy=double_well sampler=custom sampler._target_=mine.NoModule", ["is no sampler: it has no init()"]),
    ("energy=double_well start=custom start._target_=mine.NoModule", ["is no start: it has no draw()"]),
    ("energy=double_well data=custom data._target_=mine.NoModule", ["is no data: it has no sample()"]),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the lines name."""
    folder = tmp_path_factory.mktemp("place")
    assert main(["train", "data=gaussians_8", "experiment=null", *TINY, f"out={folder / 'trained'}"]) == 0
    (folder / "trained" / "checkpoints" / "step-0").mkdir()
    shutil.copytree(folder / "trained", folder / "foreign")
    config = yaml.safe_load((folder / "foreign" / "config.yaml").read_text())
    config["energy"] = {"_target_": "mine.Ring", "radius": 1.0}
    (folder / "foreign" / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "empty").mkdir()
    (folder / "table.csv").write_text("a,b\n1,2\n3,4\n")
    (folder / "broken.nc").write_bytes(b"CDF\x01 this is none")
    np.save(folder / "flat.npy", np.zeros(5))
    np.save(folder / "words.npy", np.array([["a", "b"]]))
    create_sweep(new_plan("sample", parse(["energy=double_well", "seed=0,1"])), parse([f"out={folder / 'sweep'}"]))
    shutil.copytree(folder / "trained", folder / "sweep" / "0")
    (folder / "typo.py").write_text("class Ring(:\n")
    (folder / "mine.py").write_text(
        "import torch\n\n\nclass Ring(torch.nn.Module):\n"
        "    def __init__(self, radius):\n        super().__init__()\n\n"
        "    def forward(self, x):\n        return (x**2).sum(1)\n\n\n"
        "class Broken(torch.nn.Module):\n    def __init__(self):\n        1 / 0\n\n\nclass NoModule:\n    pass\n"
    )
    return folder


@pytest.mark.parametrize(("line", "expected"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_mistake_is_named_in_a_few_lines(line: str, expected: list[str], place: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(place)
    shutil.rmtree(place / "outputs", ignore_errors=True)
    before = {path.name for path in place.iterdir()} - {"__pycache__", "outputs"}
    words = line.split()
    code = main(words if words[0].isalpha() and "=" not in words[0] else ["sample", *words])
    out, err = capsys.readouterr()
    assert code == 2, err
    for word in expected:
        assert word in err
    assert "report it" not in err and "Traceback" not in err
    lines = [line for line in err.splitlines() if not line.startswith("engine: ")]
    assert 1 <= len(lines) <= 4 and all(line.startswith("error: ") and len(line) < 500 for line in lines), err
    assert not out
    # Nothing is left behind.
    assert {path.name for path in place.iterdir()} - {"__pycache__", "outputs"} == before
    assert not list(place.glob("outputs/*/*/*"))


def test_a_key_that_depends_on_a_wrong_key_is_not_reported(place: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(place)
    assert main(["train", "trainer.steps=-5"]) == 2
    assert capsys.readouterr().err == "error: trainer.steps must be >= 1, got -5\n"
    assert main(["train", "trainer.steps=-5", "optimizer.decay_at=-5"]) == 2
    assert "optimizer.decay_at" in capsys.readouterr().err


def test_an_own_class_replaces_the_recipes_option_whole(place: Path, monkeypatch) -> None:
    from ebm_cli.cli.prepare import prepare

    monkeypatch.chdir(place)
    for recipe in ("experiment=two_moons", "experiment=digits", "experiment=gaussians_8", "experiment=null"):
        line = [recipe, "energy=custom", "energy._target_=mine.Ring", "+energy.width=64"]
        line += ["sampler=custom", "sampler._target_=mine.Walk", "+sampler.scale=2", "+sampler.step_size=1"]
        config = prepare("train", parse(line)).config
        assert config["energy"] == {"_target_": "mine.Ring", "width": 64}
        assert config["sampler"] == {"_target_": "mine.Walk", "scale": 2, "step_size": 1}


def test_the_message_on_a_missing_class_gives_its_earlier_file(
    place: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    import sys

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    text = (place / "mine.py").read_text().replace("super().__init__()", "super().__init__()\n        self.w = None")
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "own_ring.py").write_text(text)
    monkeypatch.chdir(tmp_path / "A")
    words = ["energy=custom", "energy._target_=own_ring.Ring", "+energy.radius=2", "event=[2]"]
    assert main(["sample", *words, "chains=2", "steps=4", "burn_in=0", "thin=1", "out=../s"]) == 0
    sys.modules.pop("own_ring")
    (tmp_path / "B").mkdir()
    monkeypatch.chdir(tmp_path / "B")
    sys.path.remove(str(tmp_path / "A"))
    capsys.readouterr()
    assert main(["diagnose", "run=../s"]) == 2
    err = capsys.readouterr().err
    assert "no module named 'own_ring'" in err and str(tmp_path / "A" / "own_ring.py") in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("name", "folder"), [("5", "5"), ("1e-4", "1e-4"), ("2024", "2024"), ("1_000", "1_000")])
def test_a_folder_may_have_a_number_for_a_name(name: str, folder: str, tmp_path: Path, monkeypatch) -> None:
    from ebm_cli.cli.prepare import prepare

    monkeypatch.chdir(tmp_path)
    assert prepare("sample", parse(["energy=double_well", f"out={name}"])).config["out"] == folder
    assert prepare("sample", parse(["energy=double_well", f"name={name}"])).config["name"] == folder
    assert prepare("sample", parse(["energy=double_well", "out=null"])).config["out"] is None
