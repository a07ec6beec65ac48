"""A run folder from someone else executes and imports nothing, unless its user permits its classes."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ebm_cli import load_run
from ebm_cli.assembly.assemble import assemble
from ebm_cli.check import InputError
from ebm_cli.cli import main
from ebm_cli.cli.prepare import prepare
from ebm_cli.cli.words import parse
from ebm_cli.run import shipped
from ebm_cli.run import signed_yaml as stored
from ebm_cli.run.folder import Run
from ebm_cli.run.machine import resolve

TINY = ["trainer.steps=2", "trainer.batch_size=8", "start.size=16", "objective.steps=2", "energy.width=8"]
SHORT = ["chains=4", "steps=8", "thin=1", "burn_in=0"]
GROUPS = ("energy", "data", "sampler", "start", "objective", "optimizer")
OPENED = {
    "sample": ["sample", "run=hostile", *SHORT],
    "evaluate": ["evaluate", "run=hostile", "metric=[log_z]"],
    "diagnose": ["diagnose", "run=hostile_chains"],
    "resume": ["train", "resume=hostile", "trainer.steps=4"],
    "init": ["train", "init=hostile", "trainer.steps=2"],
}


def writers(place: Path) -> dict[str, dict[str, Any]]:
    """Classes of the standard library whose construction leaves a file or a process, with what makes them."""
    mark = str(place / "PWNED")
    return {
        "subprocess.Popen": {"args": ["touch", mark]},
        "logging.FileHandler": {"filename": mark},
        "zipfile.ZipFile": {"file": mark, "mode": "w"},
        "tarfile.TarFile": {"name": mark, "mode": "w"},
        "sqlite3.Connection": {"database": mark},
        "shelve.DbfilenameShelf": {"filename": mark},
        "pathlib.Path": {},
        "mine.Own": {},
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a training run and a sample run of it."""
    folder = tmp_path_factory.mktemp("made")
    assert main(["train", "data=gaussians_8", "experiment=null", "energy=mlp", *TINY, f"out={folder / 'base'}"]) == 0
    assert main(["sample", f"run={folder / 'base'}", *SHORT, f"out={folder / 'chains'}"]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with copies of the runs, and a module that leaves a file when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    shutil.copytree(made / "base", tmp_path / "hostile")
    shutil.copytree(made / "chains", tmp_path / "hostile_chains")
    (tmp_path / "mine.py").write_text("open('PWNED', 'w').close()\nclass Own:\n    pass\n")
    sys.modules.pop("mine", None)
    return tmp_path


def spoil(folder: Path, *path: str, node: Any) -> None:
    """Put `node` at a path of config.yaml, the signature as it was."""
    text = (folder / "config.yaml").read_text()
    config = yaml.safe_load(text)
    place = config
    for name in path[:-1]:
        place = place.setdefault(name, {}) if isinstance(place, dict) else place[name]
    place[path[-1]] = node
    body = yaml.safe_dump(config, sort_keys=False)
    (folder / "config.yaml").write_text(body + stored.SIGNATURE_MARK + text.rpartition(stored.SIGNATURE_MARK)[2])


def harmless(here: Path) -> bool:
    """Return True if nothing was executed and nothing imported."""
    return not list(here.rglob("PWNED*")) and "mine" not in sys.modules


def opened(words: list[str]) -> None:
    """Do in this process what a command line does until its parts are built (for diagnose: those of the chains)."""
    job = prepare(words[0], parse(words[1:]))
    config = job.config
    if words[0] == "diagnose":
        assert isinstance(job.source, Run)
        config = job.source.config()
    if "energy" in config:
        assemble(config, resolve("cpu", "float32", 1))


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["one", "every"])
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("verb", OPENED)
def test_no_class_that_a_stored_configuration_names_is_executed_or_imported(
    verb: str, group: str, every: bool, here: Path
) -> None:
    classes = [*writers(here).items()]
    # Neighboring verbs and groups get different classes. All combinations would be slow.
    chosen = list(OPENED).index(verb) + 3 * list(GROUPS).index(group)
    for target, arguments in classes if every else [classes[chosen % len(classes)]]:
        for folder in (here / "hostile", here / "hostile_chains"):
            spoil(folder, group, node={"_target_": target, **arguments})
        try:
            opened(OPENED[verb])
        except InputError as error:
            message = "\n".join(error.messages)
            assert target in message and "hostile" in message, message
            assert "trust=true" in message and f"{group}._target_={target}" in message
        else:
            # Only what a verb does not use of a run may pass.
            assert verb not in ("resume", "init") and group in ("start", "objective", "optimizer", "sampler")
        assert harmless(here), (verb, group, target)


@pytest.mark.parametrize(
    ("verb", "group", "target"),
    [
        ("sample", "energy", "subprocess.Popen"),
        ("evaluate", "data", "logging.FileHandler"),
        ("diagnose", "sampler", "zipfile.ZipFile"),
        ("resume", "optimizer", "sqlite3.Connection"),
        ("init", "objective", "mine.Own"),
        ("sample", "objective", "mine.Own"),
        ("sample", "sampler", "mine.Own"),
    ],
)
def test_the_verbs_themselves_refuse_in_two_lines(verb: str, group: str, target: str, here: Path, capsys) -> None:
    for folder in (here / "hostile", here / "hostile_chains"):
        spoil(folder, group, node={"_target_": target, **writers(here)[target]})
    code = main(OPENED[verb])
    err = capsys.readouterr().err
    assert harmless(here)
    if group == "objective" and verb == "sample":
        # Sampling builds no objective.
        assert code == 0
        return
    assert code == 2
    assert len(err.splitlines()) == 2 and "Traceback" not in err
    # The line to type is the line that was typed, with one word more.
    assert f"type ebm {' '.join(OPENED[verb])} trust=true" in err.replace("'", "").replace('"', "")


@pytest.mark.parametrize(
    "path",
    [
        ("sampler", "kernel"),
        ("start", "law"),
        ("objective", "of"),
        ("energy", "parts"),
        ("regularizer", "custom"),
        ("regularizer", "gradient_norm", "at"),
        ("trainer", "average"),
        ("optimizer", "betas"),
    ],
    ids=".".join,
)
def test_nested_classes_are_refused_too(path: tuple[str, ...], here: Path, made: Path) -> None:
    for node in ({"_target_": "mine.Own"}, [{"_target_": "mine.Own"}], {"deep": [[{"_target_": "mine.Own"}]]}):
        shutil.rmtree(here / "hostile")
        shutil.copytree(made / "base", here / "hostile")
        spoil(here / "hostile", *path, node=node)
        for words in (OPENED["resume"], OPENED["init"]):
            with pytest.raises(InputError):
                opened(words)
            assert harmless(here)


def test_shipped_classes_are_the_classes_in_yaml_files_of_their_group() -> None:
    assert shipped.is_shipped("ebm_cli.energy.mlp.MLP", "energy")
    assert shipped.is_shipped("torch.optim.AdamW", "optimizer")
    for target, group in (
        ("ebm_cli.energy.mlp.MLP", "sampler"),
        ("ebm_cli.run.folder.Run", "energy"),
        ("ebm_cli.energy.mlp.importlib", "energy"),
        ("torch.optim.lr_scheduler.LambdaLR", "optimizer"),
        ("torch.optim.AdamW", "energy"),
        ("os.system", "energy"),
        ("???", "energy"),
    ):
        assert not shipped.is_shipped(target, group)


def own_run(here: Path) -> Path:
    """A run of this user with a class of this user's."""
    (here / "mine.py").write_text(
        "import torch\n\n\nclass Own(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.w = torch.nn.Parameter(torch.ones(()))\n\n"
        "    def forward(self, x):\n        return self.w * (x**2).sum(1)\n"
    )
    words = ["data=gaussians_8", "experiment=null", "energy=custom", "energy._target_=mine.Own", "start.size=16"]
    assert main(["train", *words, "trainer.steps=2", "trainer.batch_size=8", "objective.steps=1", "out=own"]) == 0
    return here / "own"


def test_the_users_own_runs_open_and_runs_of_others_need_trust(here: Path, tmp_path, monkeypatch, capsys) -> None:
    own_run(here)
    shutil.move(here / "own", here / "moved")
    assert main(["sample", "run=moved", *SHORT, "out=a"]) == 0
    assert main(["diagnose", "run=a", "diagnostic=[ess]"]) == 0
    assert main(["train", "resume=moved", "trainer.steps=3"]) == 0
    assert main(["sample", "run=moved", *SHORT]) == 0, "a resumed run is still signed"
    load_run("moved")
    # Another account has another secret.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert main(["sample", "run=moved", *SHORT]) == 2
    with pytest.raises(InputError, match="trust=True"):
        load_run("moved")
    assert main(["sample", "run=moved", *SHORT, "energy._target_=mine.Other"]) == 2
    assert main(["sample", "run=moved", *SHORT, "energy._target_=mine.Own", "out=b"]) == 0
    assert main(["sample", "run=moved", *SHORT, "trust=true", "out=c"]) == 0
    assert "trust" not in yaml.safe_load(Path("c/config.yaml").read_text())
    assert main(["train", "resume=moved", "trainer.steps=4", "energy._target_=mine.Own"]) == 0
    assert load_run("a", trust=True).config["energy"]["_target_"] == "mine.Own"


@pytest.mark.parametrize("change", ["a byte", "another mark", "no mark", "two documents"])
def test_a_configuration_that_was_edited_is_no_longer_signed(change: str, here: Path) -> None:
    run = Run(own_run(here))
    assert run.is_signed()
    path = run.folder / "config.yaml"
    text = path.read_text()
    changed = {
        "a byte": text.replace("seed: 0", "seed: 1"),
        "another mark": text[:-2] + ("0" if text[-2] != "0" else "1") + "\n",
        "no mark": text.rpartition(stored.SIGNATURE_MARK)[0],
        "two documents": text + "energy: 1\n",
    }[change]
    assert changed != text
    path.write_text(changed)
    assert not run.is_signed()


def test_an_energy_composed_of_runs_needs_trust_in_each_run(here: Path, capsys) -> None:
    spoil(here / "hostile", "energy", node={"_target_": "mine.Own"})
    shutil.copytree(here / "hostile", here / "second")
    assert main(["sample", "energy=product", "energy.runs=[hostile,second]", *SHORT]) == 2
    err = capsys.readouterr().err
    assert harmless(here) and "mine.Own" in err and "hostile" in err and "trust=true" in err
    # Typing a class again cannot reach a run inside of an energy.
    advice = [line.partition("if you trust it, type ")[2] for line in err.splitlines()]
    assert any(advice) and not any("_target_=" in line or "(or" in line for line in advice), err


def test_a_stored_sweep_executes_nothing_and_needs_trust(here: Path, capsys, monkeypatch) -> None:
    words = ["energy=double_well", "sampler.temperature=1,2", *SHORT, "out=s"]
    assert main(["sample", "-m", *words]) == 0
    path = here / "s" / "sweep.yaml"
    plan = yaml.safe_load(path.read_text())
    shutil.rmtree(here / "s" / "1")
    plan["jobs"][1] = ["energy=custom", "energy._target_=mine.Own", "trust=true", *SHORT]
    path.write_text(yaml.safe_dump(plan))
    assert main(["sample", "resume=s"]) == 2
    assert harmless(here) and "mine.Own" in capsys.readouterr().err
    # Interpolated values are looked up when they are read.
    monkeypatch.setenv("NAME", "double_well")
    plan["jobs"][1] = ["energy=${oc.env:NAME}", *SHORT]
    path.write_text(yaml.safe_dump(plan))
    assert main(["sample", "resume=s"]) == 2
    assert "interpolation" in capsys.readouterr().err
    # In another folder the same words would name other modules and files.
    (here / "elsewhere").mkdir()
    plan |= {"jobs": [["energy=double_well", *SHORT]] * 2, "cwd": str(here / "elsewhere")}
    path.write_text(yaml.safe_dump(plan))
    assert main(["sample", "resume=s"]) == 2
    assert "go there first, or type trust=true" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("made: {verb: train}\nenergy: !!python/object/apply:os.system ['touch PWNED']\n", "damaged"),
        ("made: {verb: train}\nenergy: {width: '${oc.env:HOME}'}\n", "interpolation"),
        ("made: {verb: train}\nenergy: {'${oc.env:HOME}': 1}\n", "interpolation"),
        ("made: {verb: train}\nseed: 2020-01-01\n", "plain value"),
        ("made: {verb: train}\n1: 2\n", "not text"),
        ("made: {verb: train}\nenergy: {defaults: [data: table]}\n", "defaults"),
        ("made: {verb: train}\ntrainer: {'steps=1 hydra.run.dir': 1}\n", "trainer"),
        ("a: &a {b: 1}\nmade: {<<: [*a, *a], verb: train}\n", "merge"),
        ("made: {verb: train}\na: &a [*a]\n", "damaged"),
        ("made: {verb: train}\na: " + "[" * 5000 + "]" * 5000, "damaged"),
        ("made: {verb: train}\na: " + "1" * 2_000_000, "larger than"),
        ("made: {verb: train}\na: " + "1" * 10_000, "damaged"),
        (
            "made: {verb: train}\na0: &a0 [1, 1]\n"
            + "".join(f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(60)),
            "too deeply or holds too many",
        ),
    ],
)
def test_stored_yaml_is_plain_and_bounded(text: str, expected: str, here: Path) -> None:
    (here / "hostile" / "config.yaml").write_text(text)
    with pytest.raises(InputError, match=expected):
        Run(here / "hostile").config()
    assert harmless(here)


def test_only_the_user_can_read_the_secret(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(here / "state"))
    first = stored.dump({"a": 1})
    path = here / "state" / "ebm" / "secret"
    assert path.stat().st_mode & 0o777 == 0o600
    assert stored.is_signed(first) and stored.dump({"a": 1}) == first
    assert [other.name for other in path.parent.iterdir()] == ["secret"]
    # Others may have read it, or put it there.
    path.chmod(0o644)
    assert not stored.is_signed(first)
    path.chmod(0o600)
    path.write_text("short\n")
    assert not stored.is_signed(first)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert not stored.is_signed(first)
    # Where none can be made, runs are written unsigned.
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    assert stored.SIGNATURE_MARK not in stored.dump({"a": 1})
