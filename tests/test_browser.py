"""report.html in a real browser: nothing asked of any network, no error, every figure seen on a phone and a desktop."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from ebm_cli.cli import main
from ebm_cli.estimate import Estimate
from ebm_cli.report.page import write_report
from ebm_cli.run.folder import Run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-default-apps --disable-extensions --hide-scrollbars "
    "--enable-logging=stderr --virtual-time-budget=20000 --host-resolver-rules=MAP_*_~NOTFOUND"
)
PHONE, DESKTOP = 390, 1280
MIXTURE = ["energy=gaussian_mixture", "chains=8", "steps=200"]
IMAGES = ["experiment=digits", "energy.width=4", "energy.depth=1", "trainer.steps=20", "trainer.checkpoint_every=20"]

# A frame as wide as the screen: a window of Chromium's has a least width, a frame has none.
FRAME = """<!doctype html><meta charset="utf-8"><body style="margin:0"><pre id="seen"></pre>
<script>addEventListener("message", event => { document.getElementById("seen").textContent = event.data; });</script>
<iframe src="page.html" width="WIDTH" height="900" style="border:0"></iframe></body>"""
LOOK = """<script nonce="test">addEventListener("load", () => {
  const figures = [...document.images].map(image => {
    const box = image.getBoundingClientRect();
    return {name: image.alt, natural: image.naturalWidth, left: box.left, right: box.right, height: box.height,
            caption: image.parentElement.querySelector("figcaption")?.textContent ?? ""};
  });
  const asked = performance.getEntriesByType("resource").map(entry => entry.name).filter(name => !/^data:/.test(name));
  const page = document.documentElement.scrollWidth;
  const cards = [...document.querySelectorAll(".cards")];
  const cut = cards.filter(each => each.scrollWidth > each.parentElement.clientWidth);
  parent.postMessage(JSON.stringify({asked, wide: innerWidth, page, figures, cut: cut.length}), "*");
});</script>"""
# Whatever a page would ask of anyone is refused, and the refusal is an error in the console. What Chromium asks of its
# makers is none of the page's doing; it finds no host.
POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; script-src 'nonce-test'\">"
)


def seen(page: Path, width: int, folder: Path) -> dict[str, Any]:
    """What Chromium makes of a page on a screen of this width: its figures, its own width, requests and errors."""
    folder.mkdir()
    text = page.read_text()
    (folder / "page.html").write_text(text.replace("<head>", "<head>" + POLICY + LOOK, 1))
    (folder / "frame.html").write_text(FRAME.replace("WIDTH", str(width)))
    result, log = looked_at((folder / "frame.html").as_uri(), folder)
    result["errors"] = [line for line in log.splitlines() if "CONSOLE" in line]
    return result


def looked_at(address: str, folder: Path, flags: str = FLAGS) -> tuple[Any, str]:
    """What a page writes into its element `seen`, and Chromium's log."""
    assert CHROMIUM is not None
    command = [
        CHROMIUM,
        *(flag.replace("_", " ") for flag in flags.split()),
        f"--user-data-dir={folder / 'profile'}",
        "--dump-dom",
    ]
    done = subprocess.run([*command, address], capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="seen">(.+?)</pre>', done.stdout, re.S)
    assert found, done.stderr
    return json.loads(unescape(found[1])), done.stderr


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of a run in the plane with its diagnosis, of a run of images with its samples, and of a sweep."""
    here = tmp_path_factory.mktemp("runs")
    plane, images, swept = here / "plane", here / "images", here / "swept"
    assert main(["sample", *MIXTURE, f"out={plane}"]) == 0
    assert main(["diagnose", f"run={plane}", f"out={here / 'judged'}"]) == 0
    assert main(["train", *IMAGES, f"out={images}"]) == 0
    assert main(["sample", f"run={images}", "chains=30", "steps=20", "thin=2", f"out={here / 'drawn'}"]) == 0
    assert main(["sample", "-m", *MIXTURE, "sampler.temperature=0.5,1,2", f"out={swept}"]) == 0
    return {"plane": plane / "report.html", "images": images / "report.html", "sweep": swept / "report.html"}


@pytest.mark.parametrize("name", ["plane", "images", "sweep"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_page_is_whole_on_any_screen_and_asks_nothing(
    pages: dict[str, Path], name: str, width: int, tmp_path: Path
) -> None:
    found = seen(pages[name], width, tmp_path / "browser")
    assert found["errors"] == [] and found["asked"] == []
    assert found["wide"] == width and found["page"] <= width and found["cut"] == 0
    assert len(found["figures"]) >= {"plane": 8, "images": 3, "sweep": 1}[name]
    for each in found["figures"]:
        assert each["natural"] > 0 and each["height"] > 50, each
        assert each["left"] >= 0 and each["right"] <= width, each
        assert re.search(r"Look for|should look like|Good:", each["caption"]), each
        assert re.search(r"\d", each["caption"]), each


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_a_long_list_of_numbers_leaves_the_reasons_their_width(width: int, tmp_path: Path) -> None:
    run = Run(tmp_path)
    about = {"verb": "diagnose", "ebm": "0", "torch": "2", "created": "now", "command": "ebm diagnose", "format": 1}
    run.write_config({"seed": 0, "run": None, "made": about})
    many = [0.0738, 0.1026, 0.0107, 0.0988]
    run.write_metrics(
        {
            "effective_temperature": Estimate(1.0966, se=0.0056, verdict="caution", reasons=("not at T; " * 12,)),
            "occupancy": Estimate(many, se=[each / 10 for each in many]),
        }
    )
    assert seen(write_report(run), width, tmp_path / "browser")["cut"] == 0


def test_a_page_that_asks_for_something_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<html><head></head><body><figure><img src="https://example.org/x.png"></figure></body></html>')
    assert seen(page, PHONE, tmp_path / "browser")["errors"] != []
