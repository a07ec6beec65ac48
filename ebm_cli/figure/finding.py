"""Finding: what a metric or a diagnostic returns, estimates by name and the figure that shows them."""

from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from ebm_cli.estimate import Estimate


@dataclass(frozen=True)
class Finding:
    """Estimates by the names of metrics.json, and at most one figure with the sentence under it.

    tables: CSV files by name: their columns by name, or a DataFrame.
    """

    estimates: dict[str, Estimate]
    figure: Figure | None = None
    caption: str = ""
    notes: list[str] = field(default_factory=list)
    tables: dict[str, Any] = field(default_factory=dict)
