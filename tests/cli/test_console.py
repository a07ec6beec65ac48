"""Test the terminal: the columns at a narrow width, the line breaks, and the parts that a table leaves out."""

import os
import pty
import re
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from ebm_cli.cli import main
from ebm_cli.cli.console import ConsoleTerminal, bar_layout, clock, seconds_left
from ebm_cli.cli.rows import estimate_lines
from ebm_cli.estimate import Estimate

SHORT = "can't tell: too short, 5 draws a chain are 4 times τ of energy, under 20; type steps=280"
ROWS = {
    "mean": Estimate([0.13, -0.12], se=[0.3, 0.32], verdict="caution", reasons=(SHORT,)),
    "ess_bulk_min": Estimate(48.2, verdict="caution", reasons=(f"under 25 a chain: type steps=210; {SHORT}",)),
    "mixing": Estimate(1.0, verdict="caution", reasons=(SHORT,), meaning="1 stands for mixed"),
    "step_size": Estimate([0.1] * 5, se=[0.01] * 5, unit="x² over energy"),
}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_fits_breaks_no_word_and_gives_a_shared_reason_once(width: int) -> None:
    lines = [line.plain for line in estimate_lines(ROWS, width)]
    assert max(map(len, lines)) <= width
    whole = set(re.findall(r"\S+", " ".join([SHORT, "1 stands for mixed", "under 25 a chain: type steps=210;"])))
    told = " ".join(lines)
    assert whole <= set(told.split()) and told.count("too short") == 1 and told.count("see mixing") == 2


def test_a_table_of_normal_numbers_has_no_column_of_reasons() -> None:
    header, row = (line.plain for line in estimate_lines({"loss": Estimate(1.0)}, 80))
    assert header.split() == ["quantity", "value", "verdict"] and row.split() == ["loss", "1", "ok"]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_narrow_bar_keeps_step_and_time_left_and_drops_details(width: int) -> None:
    details = ["136.0/s", "e_data -4.226", "e_model -4.529", "acceptance 0.634"]
    bar, words = bar_layout(width, "train", "1400/2000", "0:12 left", details)
    assert words.startswith("1400/2000  0:12 left") and len("train") + 1 + bar + 1 + len(words) <= width
    assert (details[-1] in words) == (width == 200) and bar >= 10


def test_a_task_beyond_its_end_has_no_time_left() -> None:
    assert seconds_left(130, 100, 10.0) == 0 and clock(seconds_left(130, 100, 10.0) or 0) == "0:00 left"
    assert seconds_left(1, None, 10.0) is None and clock(3725) == "1:02:05 left"


def test_a_message_on_a_terminal_is_broken_between_words_only(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "dumb")
    path = "/a/folder/whose/name/alone/is/longer/than/any/terminal/is/wide/outputs"
    ConsoleTerminal().say(f"stopped at step 300, which is saved; ebm train resume={path} goes on")
    lines = capsys.readouterr().err.splitlines()
    assert f"resume={path}" in lines and max(len(line) for line in lines if path not in line) <= 60


def read_to_the_end(end: int, shown: list[bytes]) -> None:
    """Append what a terminal shows until its other end is closed, which Linux reports as an error."""
    with suppress(OSError):
        while part := os.read(end, 1 << 16):
            shown.append(part)


def test_the_last_line_on_a_terminal_is_the_folder_from_here(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main_end, end = pty.openpty()
    shown: list[bytes] = []
    reader = Thread(target=read_to_the_end, args=(main_end, shown))
    reader.start()
    words = ["sample", "energy=quadratic", "event=[3,4,5]", "chains=2", "steps=4", "thin=1", "burn_in=0"]
    with os.fdopen(end, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        patch.setattr(sys, "stderr", terminal)
        assert main(words) == 0
    reader.join()
    os.close(main_end)
    last = b"".join(shown).decode().splitlines()[-1]
    assert last.startswith("outputs/sample/") and (here / last / "figures" / "samples.png").exists()


@pytest.mark.parametrize("event", ["[3,1,1]", "[2,3,4]", "[1,3,3]", "[3,3]"])
def test_states_of_any_shape_are_sampled(event: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    short = ["chains=2", "steps=4", "thin=1", "burn_in=0", "sampler=mala"]
    assert main(["sample", "energy=quadratic", f"event={event}", *short]) == 0
