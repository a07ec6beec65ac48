"""A file that is added to the folder is a place to log to; what it does not show is written to the others alone."""

from pathlib import Path

import pytest

from ebm_cli import logger
from ebm_cli.cli import main
from ebm_cli.logger import open_places

PLACE = """
from ebm_cli.logger import Logger

class Lines(Logger):
    def __init__(self, folder, purge):
        self.file = (folder / "lines.txt").open("a")
        self.file.write(f"from {purge}\\n")

    def scalar(self, tag, value, step, description=""):
        self.file.write(f"{step} {tag} {value:g}\\n")

    def text(self, tag, markdown, step):
        self.file.write(f"{tag}\\n")

    def close(self):
        self.file.close()
"""


@pytest.fixture
def place(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place in a file of its own that every run finds."""
    (here / "lines.py").write_text(PLACE)
    monkeypatch.setattr(logger, "__path__", [*logger.__path__, str(here)])


@pytest.mark.usefixtures("place")
def test_a_place_gets_what_it_shows_and_tensorboard_gets_all(here: Path) -> None:
    with open_places(here, 3) as places:
        places.scalar("loss", 0.5, 3)
        places.hparams({"seed": 0}, "trial")
        places.mark_finished()
    assert (here / "lines.txt").read_text() == "from 3\n3 loss 0.5\n"
    assert len(list(here.glob("events.out.tfevents.*"))) == 1


@pytest.mark.usefixtures("place")
def test_a_command_logs_to_it(here: Path) -> None:
    assert main(["sample", "energy=quadratic", "event=[2]", "chains=4", "steps=20", "threads=1", "out=run"]) == 0
    lines = (here / "run" / "lines.txt").read_text()
    assert "command" in lines and "0 2_verdict/worst" in lines
