"""Draw scripts/digits.png for README: final states of the chains of a digits run, and the same after denoising.

    python scripts/readme_figure.py RUN

RUN is a sample run of a digits model.
"""

import sys
from pathlib import Path

import matplotlib.image as mpimg

from ebm_cli import figure


def main() -> None:
    figures = Path(sys.argv[1]) / "figures"
    picture, both = figure.new(2, width=11.0, height=3.9)
    for axes, name in zip(both, ("samples", "denoised"), strict=True):
        axes.imshow(mpimg.imread(figures / f"{name}.png"))
        axes.axis("off")
    picture.savefig(Path(__file__).with_name("digits.png"), dpi=110)


if __name__ == "__main__":
    main()
