"""The record next to chains.nc by which `ebm diagnose` takes over what `ebm sample` computed."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from ebm_cli.chain.chain_file import fingerprint
from ebm_cli.diagnostic import SharedResults
from ebm_cli.diagnostic._hessian_trace import HessianTrace
from ebm_cli.estimate import from_json
from ebm_cli.mixing.verdict import MixingResult
from ebm_cli.run.writing import write_text

NAME = "mixing.json"


def write_record(chains_file: Path, mixing: MixingResult, shared: SharedResults) -> None:
    """Write the verdict and the shared results of these chains, with the fingerprint of their file."""
    traces = {
        draws: {name: values.tolist() for name, values in vars(trace).items()}
        for draws, trace in shared.hessian_traces.items()
    }
    record = {
        "chains": fingerprint(chains_file),
        "verdict": mixing.estimate.to_json() | {"reasons": mixing.estimate.reasons},
        "worst": mixing.worst,
        "separate": mixing.separate,
        "r_hat": shared.r_hat,
        "hessian_traces": traces,
    }
    write_text(chains_file.with_name(NAME), json.dumps(record) + "\n")


def read_record(chains_file: Path) -> tuple[MixingResult, SharedResults] | None:
    """Return what `write_record` wrote; None without a record, or if the chains have changed since."""
    try:
        record = json.loads(chains_file.with_name(NAME).read_text())
        if record["chains"] != fingerprint(chains_file):
            return None
        return _mixing(record, chains_file.parent), _shared(record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _mixing(record: dict[str, Any], folder: Path) -> MixingResult:
    row = record["verdict"]
    estimate = dataclasses.replace(from_json(row), reasons=tuple(row["reasons"]))
    return MixingResult(estimate, [f"mixing: as ebm sample found it in {folder}"], record["worst"], record["separate"])


def _shared(record: dict[str, Any]) -> SharedResults:
    traces = {
        int(draws): HessianTrace(**{name: np.array(values) for name, values in trace.items()})
        for draws, trace in record["hessian_traces"].items()
    }
    return SharedResults(record["r_hat"], traces)
