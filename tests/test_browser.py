"""report.html in a real browser: nothing asked of any network, no error, every figure seen on a phone and a desktop.

TensorBoard in the same browser: its first screen shows the loss, the energies of both phases and their gap.
"""

import json
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tensorboard.program import TensorBoard

from ebm_cli.cli import main

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
  parent.postMessage(JSON.stringify({asked, wide: innerWidth, page, figures}), "*");
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
    assert found["wide"] == width and found["page"] <= width
    assert len(found["figures"]) >= {"plane": 8, "images": 3, "sweep": 1}[name]
    for each in found["figures"]:
        assert each["natural"] > 0 and each["height"] > 50, each
        assert each["left"] >= 0 and each["right"] <= width, each
        assert "Good:" in each["caption"] and re.search(r"\d", each["caption"]), each


def test_a_page_that_asks_for_something_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<html><head></head><body><figure><img src="https://example.org/x.png"></figure></body></html>')
    assert seen(page, PHONE, tmp_path / "browser")["errors"] != []


# A page of TensorBoard's own origin, which may look into it: the texts that lie on the screen, shadow roots included.
WINDOW = """<!doctype html><meta charset="utf-8"><body style="margin:0"><pre id="seen"></pre>
<iframe src="/#DASHBOARD" width="WIDTH" height="HEIGHT" style="border:0"></iframe><script>
const frame = document.querySelector("iframe");
function* texts(node) {
  for (const child of node.childNodes) {
    if (child.nodeType === Node.TEXT_NODE && child.textContent.trim()) yield child;
    if (child.shadowRoot) yield* texts(child.shadowRoot);
    if (child.nodeName !== "STYLE" && child.nodeName !== "SCRIPT") yield* texts(child);
  }
}
setInterval(() => {
  const range = document.createRange(), seen = [];
  for (const text of texts(frame.contentDocument.body)) {
    const box = text.parentElement?.getBoundingClientRect();
    const on = box && box.height > 0 && box.top >= 0 && box.bottom <= HEIGHT && box.left >= 0 && box.right <= WIDTH;
    if (on) seen.push(text.textContent.trim());
  }
  document.getElementById("seen").textContent = JSON.stringify(seen);
}, 500);
</script></body>"""
# Ten lines lower than what most windows show of a page.
SCREEN = (1280, 800)


@contextmanager
def served(logdir: Path) -> Iterator[str]:
    """A real TensorBoard of a folder with WINDOW's pages under /look/DASHBOARD; yields the address."""
    board = TensorBoard()
    board.configure(logdir=str(logdir), port=0, load_fast="false")
    server = board._make_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()

    class Window(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/look/"):
                page = WINDOW.replace("DASHBOARD", self.path.removeprefix("/look/"))
                page = page.replace("WIDTH", str(SCREEN[0])).replace("HEIGHT", str(SCREEN[1]))
                return self.answer(page.encode(), "text/html")
            return self.do_POST()

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            passed = {"Content-Type": self.headers.get("Content-Type") or "text/plain"}
            data = self.rfile.read(length) if length else None
            request = urllib.request.Request(server.get_url() + self.path.lstrip("/"), data, passed)
            try:
                with urllib.request.urlopen(request) as reply:
                    self.answer(reply.read(), reply.headers.get("Content-Type", ""))
            except urllib.error.HTTPError as error:
                with error:
                    self.send_error(error.code)

        def answer(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Window) as window:
        threading.Thread(target=window.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{window.server_port}"
        window.shutdown()
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run in the plane and its samples."""
    here = tmp_path_factory.mktemp("logged")
    small = ["energy.width=8", "trainer.steps=20", "trainer.batch_size=16", "start.size=32", "objective.steps=1"]
    assert main(["train", "data=two_moons", "experiment=null", *small, f"out={here / 'train'}"]) == 0
    assert main(["sample", f"run={here / 'train'}", "chains=4", "steps=20", f"out={here / 'sample'}"]) == 0
    return here


@pytest.mark.parametrize(
    ("dashboard", "expected"),
    [
        ("", ["loss", "e_data", "e_model", "gap", "train", "sample"]),
        ("custom_scalars", ["energies of both phases: data and model", "gap: e_model − e_data", "loss"]),
        ("hparams", ["sampler.temperature", "verdict/worst"]),
    ],
)
def test_the_first_screen_of_tensorboard_shows_the_energies(
    dashboard: str, expected: list[str], logged: Path, tmp_path: Path
) -> None:
    with served(logged) as address:
        flags = FLAGS.replace("NOTFOUND", "NOTFOUND,EXCLUDE_127.0.0.1") + " --window-size=1400,1000"
        found, _ = looked_at(f"{address}/look/{dashboard}", tmp_path, flags)
    print(found)
    for text in expected:
        assert any(part == text or part.endswith(f"/{text}") for part in found), (text, found)
