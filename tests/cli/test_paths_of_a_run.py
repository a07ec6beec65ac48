"""Paths through what training left: `ebm sample` walks noise levels and checkpoints of a run."""

from pathlib import Path

import pytest
import yaml

from ebm_cli.cli import main
from ebm_cli.cli.compose import compose
from ebm_cli.cli.loader import Base
from ebm_cli.cli.words import parse
from ebm_cli.run.folder import Run

TRAIN = [
    *("train", "data=gaussians_8", "energy=mlp", "energy.width=16", "energy.noise_level=0.1", "energy.confinement=0.1"),
    *("objective=denoising_score_matching", "objective.sigma=[0.1,0.5,2.0]", "trainer.steps=60"),
    *("trainer.checkpoint_every=20", "threads=1"),
]
CHAINS = ["chains=4", "steps=40", "burn_in=100", "threads=1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    assert main([*TRAIN, f"out={folder}"]) == 0
    return folder


@pytest.mark.parametrize(("name", "key", "anchors"), [("levels", "levels", {0.5, 2.0}), ("runs", "runs", {20, 40})])
def test_chains_along_a_path_of_a_run_are_sampled_and_opened_again(
    name: str, key: str, anchors: set[float], trained: Path, here: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["sample", f"run={trained}", f"path={name}", *CHAINS, f"out={here / 's'}"]) == 0
    said = capsys.readouterr().err
    assert "sampler: replica exchange of" in said and f"path={name}" in said
    node = yaml.safe_load((here / "s" / "config.yaml").read_text())["path"]
    assert node["_target_"].split(".")[-2] == name and set(node[key]) <= anchors and node["betas"][0] == 1.0
    metrics = Run(here / "s").metrics()
    assert metrics[key]["value"] == node[key] and {"log_z", "barrier", "round_trips"} <= metrics.keys()
    assert main(["diagnose", f"run={here / 's'}", "diagnostic=[ess]", f"out={here / 'd'}"]) == 0
    # The places that were found can be typed.
    lists = {"levels": node[key], "betas": [round(beta, 4) for beta in metrics["betas"]["value"]]}
    typed = [f"path.{key}={node[key]}".replace(" ", ""), f"path.betas={lists['betas']}".replace(" ", "")]
    assert main(["sample", f"run={trained}", f"path={name}", *typed, *CHAINS, f"out={here / 't'}"]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "run=RUN", "path=runs", "checkpoint=20"], "path.runs needs earlier checkpoints"),
        (["sample", "run=RUN", "path.levels=[0.05,1]"], "path.levels must be > energy.noise_level=0.1"),
        (["sample", "energy=double_well", "path=runs"], "path.runs leads through checkpoints of a trained run"),
        (["sample", "energy=double_well", "path=levels"], "path.levels leads through noise levels of a trained run"),
        (["sample", "energy=double_well", "path.levels=[1.0]"], "path=levels needs a noise-conditional energy"),
        (["train", "experiment=gaussians_8", "path=runs"], "path.runs leads through checkpoints of a trained run"),
        (
            ["train", "experiment=gaussians_8", "path.levels=[1.0]"],
            "sampler cannot follow path=levels or path=runs",
        ),
    ],
)
def test_what_has_no_such_path_is_refused_in_one_line(
    words: list[str], message: str, trained: Path, here: Path, capsys: pytest.CaptureFixture
) -> None:
    words = [word.replace("RUN", str(trained)) for word in words]
    assert main([*words, *CHAINS[:1] * (words[0] == "sample"), "threads=1", f"out={here / 's'}"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "name", "betas"), [("path.betas=[1,0.5,0]", "rates", [1, 0.5, 0]), ("path.base=box", "base", "auto")]
)
def test_a_key_that_the_path_of_a_run_has_keeps_that_path(word: str, name: str, betas: object) -> None:
    own = {"_target_": "ebm_cli.path.rates.RatesPath", "betas": "auto", "renew_every": 100}
    path = compose("sample", parse([word]), Base(nodes={"path": own}))["path"]
    assert path["_target_"].split(".")[-2] == name and path["betas"] == betas
