"""The picture of robustness: accuracy against the radius of the ball, for every attack."""

from typing import Any

from ebm_cli import figure
from ebm_cli.estimate import Picture

# Label and style of each attack, in the order in which they are drawn.
ATTACKS = {
    "all": ("all attacks", {"fmt": "-", "color": "0.75", "linewidth": 6.0}),
    "gradients": ("projected gradients", {"fmt": "o-", "color": figure.BLUE, "linewidth": 1.2}),
    "transfer": ("transfer", {"fmt": "^:", "color": figure.ORANGE, "linewidth": 1.2}),
    "decisions": ("decisions only", {"fmt": "s:", "color": figure.GREEN, "linewidth": 1.2}),
    "purified": ("purified, projected gradients", {"fmt": "D--", "color": figure.RED, "linewidth": 1.2}),
}


def draw(table: dict[str, list[Any]], clean: float, n: int) -> Picture:
    """Draw one panel per norm.

    table: accuracy by norm, radius and attack.
    clean: accuracy without an attack, at radius 0.
    """
    norms = list(dict.fromkeys(table["norm"]))
    drawn, panels = figure.new(len(norms), width=4.4 * len(norms), height=3.8)
    for axes, norm in zip(panels, norms, strict=True):
        for attack in (attack for attack in ATTACKS if attack in table["attack"]):
            rows = [i for i, each in enumerate(table["norm"]) if each == norm and table["attack"][i] == attack]
            x, y, se = ([table[name][i] for i in rows] for name in ("radius", "accuracy", "se"))
            # The purified classifier has an accuracy of its own without an attack.
            start = [] if attack == "purified" else [(0.0, clean, 0.0)]
            x, y, se = zip(*start, *zip(x, y, se, strict=True), strict=True)
            label, style = ATTACKS[attack]
            axes.errorbar(x, y, se, markersize=4, label=label, **style)
        axes.set(xlabel=f"radius in {'L∞' if norm == 'linf' else 'L2'}", ylabel="accuracy", ylim=(-0.03, 1.03))
        axes.locator_params(axis="x", nbins=5)
    panels[0].legend(fontsize=8)
    return drawn, (
        f"Accuracy on {n} rows that are moved within a ball, with binomial standard errors; {clean:.1%} without an "
        "attack. Look for curves that fall slowly, and for projected gradients at or below the attacks without "
        "gradients: above them, gradients are masked."
    )
