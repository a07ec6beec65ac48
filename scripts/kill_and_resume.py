"""Kill a training run with SIGKILL at random moments, resume it each time, and compare it bit for bit.

    python scripts/kill_and_resume.py [KILLS] [ebm train overrides …]

Runs `ebm train experiment=gaussians_8 trainer.steps=1000 trainer.checkpoint_every=20` once without a stop and once
with KILLS (20 unless given) kills, then compares the last checkpoint's bytes (weights, averages, optimizer, buffer,
generators) and metrics.jsonl but for its wall-clock field. Exit code 0 when they are equal.
"""

import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEPS = 1000
RECIPE = [
    "experiment=gaussians_8",
    f"trainer.steps={STEPS}",
    "trainer.checkpoint_every=20",
    "trainer.log_every=5",
]
WALL_CLOCK = "steps_per_second"


def ebm(*words: str) -> list[str]:
    return [sys.executable, "-m", "ebm_cli", "train", *words]


def history(folder: Path) -> list[dict]:
    """metrics.jsonl without its wall-clock field."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != WALL_CLOCK} for row in rows]


def uninterrupted(words: list[str], folder: Path) -> tuple[float, float]:
    """Train without a stop; the seconds to the first logged step, and those from there to the end of training."""
    began = time.monotonic()
    process = subprocess.Popen(ebm(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (folder / "metrics.jsonl").exists() and process.poll() is None:
        time.sleep(0.05)
    start = time.monotonic() - began
    if process.wait() != 0:
        raise SystemExit("the uninterrupted run failed")
    rate = json.loads((folder / "metrics.json").read_text())["steps_per_second"]["value"]
    return start, STEPS / rate


def main() -> int:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    recipe = RECIPE + sys.argv[2:]
    place = Path(tempfile.mkdtemp(prefix="ebm-kill-"))
    whole, broken = place / "whole", place / "broken"
    start, training = uninterrupted([*recipe, f"out={whole}"], whole)
    print(f"uninterrupted: {start:.1f} s to the first step, {training:.1f} s of training")
    moments = random.Random(0)
    done = 0
    while done < kills:
        resumable = (broken / "checkpoints" / "last").exists()
        if broken.exists() and not resumable:
            shutil.rmtree(broken)
        words = [f"resume={broken}"] if resumable else [*recipe, f"out={broken}"]
        process = subprocess.Popen(ebm(*words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # From just before the first step on, and on average a little less than a KILLS-th of the work.
        moment = start + moments.uniform(-0.5, 1.2 * training / kills)
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            done += 1
            last = broken / "checkpoints" / "last"
            print(
                f"kill {done}: {last.read_text().strip() if last.exists() else 'no checkpoint yet'}",
                flush=True,
            )
            continue
        assert process.stderr is not None
        print(f"ended before kill {done + 1}, exit code {process.returncode}: {process.stderr.read().decode()[-300:]}")
        break
    if (broken / "checkpoints" / "last").exists():
        subprocess.run(ebm(f"resume={broken}"), check=True, capture_output=True)
    else:
        shutil.rmtree(broken, ignore_errors=True)
        subprocess.run(ebm(*recipe, f"out={broken}"), check=True, capture_output=True)
    name = (whole / "checkpoints" / "last").read_text().strip()
    same_name = name == (broken / "checkpoints" / "last").read_text().strip()
    files = [
        (whole / "checkpoints" / name / file).read_bytes() == (broken / "checkpoints" / name / file).read_bytes()
        for file in ("state.safetensors", "state.json")
    ]
    same_history = history(whole) == history(broken)
    print(f"{done} kills; same checkpoint name {same_name}, bytes {files}, metrics.jsonl {same_history}")
    shutil.rmtree(place)
    return 0 if same_name and all(files) and same_history else 1


if __name__ == "__main__":
    sys.exit(main())
