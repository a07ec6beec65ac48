"""Finding: what a metric or a diagnostic returns, estimates by name and the figure that shows them."""

from dataclasses import dataclass, field

from matplotlib.figure import Figure

from ebm_cli.estimate import Estimate


@dataclass(frozen=True)
class Finding:
    """Estimates by the names of metrics.json, and at most one figure with the sentence under it."""

    estimates: dict[str, Estimate]
    figure: Figure | None = None
    caption: str = ""
    notes: list[str] = field(default_factory=list)
