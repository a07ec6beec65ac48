"""TensorBoard in a real browser: its first screen shows the loss, the energies of both phases and their gap."""

import json
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ebm_cli.cli import main
from ebm_cli.run.folder import Run
from tests.test_browser import CHROMIUM, FLAGS, looked_at

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]

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
    command = [sys.executable, "-m", "tensorboard.main", f"--logdir={logdir}", "--port=0", "--load_fast=false"]
    board = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert board.stderr is not None
    own = next(found[0] for line in board.stderr if (found := re.search(r"http://\S+/", line)))
    threading.Thread(target=board.stderr.read, daemon=True).start()

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
            request = urllib.request.Request(own + self.path.lstrip("/"), data, passed)
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

    window = ThreadingHTTPServer(("127.0.0.1", 0), Window)
    threading.Thread(target=window.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{window.server_port}"
    finally:
        window.shutdown()
        window.server_close()
        board.terminate()
        board.communicate(timeout=30)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run in the plane, and chains of a quadratic at two temperatures."""
    here = tmp_path_factory.mktemp("logged")
    small = ["energy.width=8", "trainer.steps=20", "trainer.batch_size=16", "start.size=32", "objective.steps=1"]
    assert main(["train", "data=two_moons", "experiment=null", *small, f"out={here / 'train'}"]) == 0
    words = ["energy=quadratic", "event=[2]", "sampler=hmc", "chains=8", "steps=800", "burn_in=100", "thin=1"]
    assert main(["sample", "-m", *words, "sampler.temperature=0.5,2", f"out={here / 'sample'}"]) == 0
    return here


@pytest.mark.parametrize(
    ("dashboard", "expected"),
    [
        ("", ["loss", "e_data", "e_model", "gap", "train", "0", "1"]),
        ("custom_scalars", ["energies of both phases: data and model", "gap: e_model − e_data", "loss"]),
        ("hparams", ["sampler.temperature", "0.50000", "2.0000"]),
    ],
)
def test_the_first_screen_of_tensorboard_shows_the_energies(
    dashboard: str, expected: list[str], logged: Path, tmp_path: Path
) -> None:
    with served(logged) as address:
        flags = FLAGS.replace("NOTFOUND", "NOTFOUND,EXCLUDE_127.0.0.1") + " --window-size=1400,1000"
        found, _ = looked_at(f"{address}/look/{dashboard}", tmp_path, flags)
    for text in expected:
        assert any(part == text or part.endswith(f"/{text}") for part in found), (text, found)


def test_tensorboard_compares_temperatures_by_their_verdict(logged: Path) -> None:
    asked = {"startIndex": 0, "sliceSize": 10, "allowedStatuses": ["STATUS_SUCCESS"]}
    with served(logged) as address:
        data = json.dumps(asked).encode()
        request = urllib.request.Request(
            f"{address}/data/plugin/hparams/session_groups", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as reply:
            groups = json.load(reply)["sessionGroups"]
    shown = {
        group["hparams"]["sampler.temperature"]: metric["value"]
        for group in groups
        for metric in group["metricValues"]
        if metric["name"]["tag"] == "2_verdict/worst"
    }
    for number, temperature in enumerate((0.5, 2)):
        verdicts = [row["verdict"] for row in Run(logged / "sample" / str(number)).metrics().values()]
        assert shown[temperature] == min(["refused", "caution", "ok"].index(verdict) for verdict in verdicts)
