"""Train an energy on handwritten digits, sample it, evaluate it, and diagnose its chains.

    python scripts/demo.py

The last eight lines describe the training, the quality, the likelihood, the round trips of the chains, the picture, the
report, the meaning of the mixing verdict for the pictures, and the folder of the run.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

Rows = dict[str, dict[str, Any]]


def ebm(*words: str) -> Path:
    """Run one command, pass its output on to stderr, and return the folder in its last line."""
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
    """Return the numbers of a run."""
    return json.loads((folder / "metrics.json").read_text())


def bracket(nll: dict[str, Any]) -> str:
    """Return the held-out negative log-likelihood with its bounds, or why it is refused."""
    if nll["value"] is None:
        return f"refused: {nll['reason']}"
    return f"{nll['value']:.2f} nats per row ({nll['lower']:.2f} to {nll['upper']:.2f})"


def quality(ratio: dict[str, Any]) -> str:
    """Return how close samples are to held-out digits, compared with training digits, or why this is refused."""
    if ratio["value"] is None:
        return f"refused: {ratio['reason']}"
    return f"{ratio['meaning']} (frechet_ratio {ratio['value']:.2f} ± {ratio['se']:.2f})"


def round_trips(sampled: Rows) -> str:
    """Return how many states of the chains came from exact draws of the base distribution."""
    if "round_trips" not in sampled:
        return "no replica exchange: no path to the model was found"
    trips, barrier = (sampled[name]["value"] for name in ("round_trips", "barrier"))
    return f"{trips:.0f} states came from exact draws of the base, along a path with barrier {barrier:.2f}"


def what_mixing_means(mixing: dict[str, Any], sampled: Path) -> str:
    """Explain the mixing verdict for the pictures, with a command to type."""
    if mixing["verdict"] == "ok":
        return "mixing is ok: the pictures are samples of the model, with its own frequency of each digit"
    return (
        f"mixing is {mixing['verdict']}: each picture is a mode of the model, but the frequency of each digit depends "
        f"on the initial states; `ebm diagnose run={sampled}` shows it, and start=data starts chains at all digits"
    )


def main() -> None:
    began = time.monotonic()
    trained = ebm("train", "experiment=digits")
    minutes = (time.monotonic() - began) / 60
    sampled = ebm("sample", f"run={trained}", "chains=24")
    evaluated = ebm("evaluate", f"run={trained}", "metric=[frechet,nll]", "metric.nll.baselines=[mixture]", "steps=900")
    diagnosed = ebm("diagnose", f"run={sampled}")
    ratio, nll = (rows(evaluated)[name] for name in ("frechet_ratio", "nll"))
    print(f"\ntrained  an energy of 8×8 handwritten digits, on 1,437 of scikit-learn's, in {minutes:.1f} minutes")
    print(f"quality  {quality(ratio)}")
    print(f"nll      {bracket(nll)} of held-out digits")
    print(f"chains   {round_trips(rows(sampled))}")
    print(f"picture  {sampled}/samples.png")
    print(f"report   {trained}/report.html")
    print(f"mixing   {what_mixing_means(rows(diagnosed)['mixing'], sampled)}")
    print(f"folder   {trained}")


if __name__ == "__main__":
    main()
