"""The figure of log-likelihoods: sorted, with all numbers, and with marks for densities that are far below."""

from matplotlib.text import Text

from ebm_cli.metric._likelihood_figure import likelihoods, limits
from ebm_cli.metric._likelihood_rows import LikelihoodRow


def rows(*values: float) -> list[LikelihoodRow]:
    return [LikelihoodRow(f"number {i}", v, 0.1, None, None, v + 1, 2.0, model=i == 0) for i, v in enumerate(values)]


def test_the_best_is_on_top_and_every_number_stands_there() -> None:
    drawn = likelihoods(rows(-3.0, -1.0, -2.0))
    axes = drawn.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["number 1", "number 2", "number 0"]
    said = {text.get_text() for text in axes.findobj(Text)}
    assert {"−3.00 ± 0.10   2.0 s", "−1.00 ± 0.10   2.0 s", "−2.00 ± 0.10   2.0 s"} <= said


def test_a_density_far_below_does_not_flatten_the_others() -> None:
    low, high = limits(rows(-1.0, -2.0, -3.0, -5000.0))
    assert -10 < low < -3 and high > -0.5


def test_one_density_alone_has_an_axis() -> None:
    low, high = limits([LikelihoodRow("alone", -1.0, None, None, None, None, None, model=True)])
    assert low < -1 < high
