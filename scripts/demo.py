"""The main job end to end: train an energy on real digits, sample it, evaluate it, diagnose its chains.

    python scripts/demo.py

Ends in six plain lines: what was trained, how good it is, the picture, the report, what the verdict on mixing means for
the pictures, and the run's folder.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

Rows = dict[str, dict[str, Any]]


def ebm(*words: str) -> Path:
    """Run one command; what it prints goes to stderr as it comes. Returns the folder that it names last."""
    sys.stderr.write(f"\n$ ebm {' '.join(words)}\n")
    sys.stderr.flush()
    with subprocess.Popen(["ebm", *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = ""
        for line in process.stdout:
            sys.stderr.write(line)
            sys.stderr.flush()
    if process.returncode:
        raise SystemExit(process.returncode)
    return Path(line.strip())


def rows(folder: Path) -> Rows:
    """What a run found."""
    return json.loads((folder / "metrics.json").read_text())


def what_mixing_means(mixing: dict[str, Any], sampled: Path) -> str:
    """What the verdict on mixing means for the pictures, and what to type."""
    if mixing["verdict"] == "ok":
        return "mixing is ok: the pictures are draws of the model, each kind of digit as often as the model has it"
    return (
        f"mixing is {mixing['verdict']}: each picture is a digit that the model knows, but how often each kind comes "
        f"depends on where its chain began; `ebm diagnose run={sampled}` shows it, start=data begins at all kinds"
    )


def main() -> None:
    began = time.monotonic()
    trained = ebm("train", "experiment=digits")
    minutes = (time.monotonic() - began) / 60
    sampled = ebm("sample", f"run={trained}")
    evaluated = ebm("evaluate", f"run={trained}")
    diagnosed = ebm("diagnose", f"run={sampled}")
    ratio = rows(evaluated)["frechet_ratio"]
    good = f"{ratio['meaning']} (frechet_ratio {ratio['value']:.2f} ± {ratio['se']:.2f})"
    print(f"\ntrained  an energy of 8×8 handwritten digits, on 1,437 of scikit-learn's, in {minutes:.1f} minutes")
    print(f"quality  {good}")
    print(f"picture  {sampled}/samples.png")
    print(f"report   {trained}/report.html")
    print(f"mixing   {what_mixing_means(rows(diagnosed)['mixing'], sampled)}")
    print(f"folder   {trained}")


if __name__ == "__main__":
    main()
