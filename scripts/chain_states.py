"""Draw states of the chains of a model of images, unselected, for docs/results.md.

    python scripts/chain_states.py RUN scripts/mnist.png

RUN is a sample run. The draws are a hundred states of its chains, as far apart along the chains as they can be.
"""

import sys
from pathlib import Path

import numpy as np

from ebm_cli import figure
from ebm_cli.chain.chain_file import read

COUNT, COLUMNS = 100, 20


def main() -> None:
    run, to = map(Path, sys.argv[1:])
    x = read(run / "chains.nc").x
    event = x.shape[2:]
    # Whole rounds of all chains, evenly spaced over their draws.
    chains, draws = x.shape[:2]
    rounds = -(-COUNT // chains)
    spaced = x[:, np.linspace(0, draws - 1, rounds).round().astype(int)]
    shown = spaced.transpose(1, 0, *range(2, x.ndim)).reshape(-1, *event)[:COUNT]
    # Pixels of the data are in [−1, 1].
    levels = np.clip((shown[:, 0] + 1) / 2, 0, 1)
    picture = figure.grid(levels, columns=COLUMNS)
    picture.savefig(to, dpi=220)


if __name__ == "__main__":
    main()
