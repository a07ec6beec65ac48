"""Draw scripts/gallery.png: densities of the data (top) and of the trained models (bottom), for runs in the plane.

for name in gaussians_8 rings checkerboard pinwheel spirals; do ebm train experiment=$name seed=0 out=$name; done
python scripts/gallery.py gaussians_8 rings checkerboard pinwheel spirals
"""

import sys
from pathlib import Path

import numpy as np

from ebm_cli import figure, load_run
from ebm_cli.data._rows import available_rows
from ebm_cli.figure.landscape import density_of, draw_density

SIZE = 300


def main() -> None:
    names = sys.argv[1:]
    picture, axes = figure.panels(2, len(names), width=2.1 * len(names), height=4.2)
    for (above, below), name in zip(axes.T, names, strict=True):
        run = load_run(name)
        assert run.data is not None
        rows = available_rows(run.data).x.double().cpu().numpy()
        u, v, e = figure.energy_on_grid(run.energy, figure.extent(rows, margin=0.1), SIZE)
        model = np.exp(e.min() - e)
        model /= model.sum() * (u[1] - u[0]) * (v[1] - v[0])
        truth = density_of(run.data, rows, u, v)
        top = float(np.quantile(truth, 0.999))
        for panel, density in ((above, truth), (below, model)):
            draw_density(panel, u, v, density, top, "")
            panel.set(xticks=[], yticks=[], xlabel="", ylabel="")
            panel.set_box_aspect(1)
    picture.savefig(Path(__file__).with_name("gallery.png"), dpi=110)


if __name__ == "__main__":
    main()
