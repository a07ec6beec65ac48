"""Subjects for the tests of metrics: real rows with the set's own noise, and samples of the test's choice."""

from typing import Any

import torch
from torch import Tensor

from ebm_cli.data import Data
from ebm_cli.data._rows import noisy_split
from ebm_cli.metric import EvaluationContext
from tests.contract import build


def subject(data: Data | None, samples: Tensor | None, **changes: Any) -> EvaluationContext:
    """The context that `ebm evaluate` would give to a metric; `changes` replace its fields."""
    energy = changes.get("energy") or build("energy", "quadratic", event=data.event if data else (2,))
    fields: dict[str, Any] = {
        "energy": energy,
        "temperature": 1.0,
        "event": energy.event,
        "data": data,
        "samples": samples,
        "held_out": noisy_split(data, "held_out", 0) if data else None,
        "train": noisy_split(data, "train", 0) if data else None,
        "seed": 0,
    }
    return EvaluationContext(**fields | changes)


def normal(n: int, dim: int, seed: int) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed))
