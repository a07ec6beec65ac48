"""Pictures of samples: their arrangement, the training rows nearest to them, and a film of chains."""

from pathlib import Path

import pytest
from PIL import Image

from ebm_cli.check import InputError
from ebm_cli.cli import main as ebm
from ebm_cli.sampling.picture_grid import PictureGrid


@pytest.mark.figures
def test_a_film_starts_at_the_start_and_ends_at_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    line = "experiment=null data=digits energy=mlp energy.width=8 sampler=mala trainer.steps=1 trainer.batch_size=8"
    assert ebm(["train", *line.split(), "objective.steps=1", "regularizer=[]", "threads=1", "out=run"]) == 0
    line = "run=run sampler=mala chains=6 steps=5 burn_in=0 grid=2x3 film=gif threads=1 out=s"
    assert ebm(["sample", *line.split()]) == 0
    with Image.open("s/film.gif") as film:
        assert film.size[0] > film.size[1] >= 300
        # Equal frames that follow each other are one.
        assert 2 <= film.n_frames <= 121
    with Image.open("s/figures/samples.png") as picture:
        assert picture.size[0] / picture.size[1] == pytest.approx(28 / 19, rel=0.1)
    assert Path("s/figures/neighbors.png").exists()


def test_wrong_grids_and_films_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert PictureGrid.parse("3x7").cells == 21
    for wrong in ("8", "0x4", "axb", "8x8x8"):
        with pytest.raises(InputError, match="grid must be"):
            PictureGrid.parse(wrong)
    assert ebm(["sample", "energy=double_well", "film=mp4", "grid=9"]) == 2
    error = capsys.readouterr().err
    assert "film must be one of gif, png" in error and "grid must be ROWSxCOLUMNS" in error
