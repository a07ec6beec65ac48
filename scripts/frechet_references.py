"""Compute `frechet_ratio` of two reference densities on digits: a Gaussian and a mixture of 25 Gaussians.

python scripts/frechet_references.py [SEEDS]
"""

import sys

import numpy as np
import torch
from sklearn.mixture import GaussianMixture

from ebm_cli.data._rows import noisy_split
from ebm_cli.data.digits import Digits
from ebm_cli.energy.quadratic import Quadratic
from ebm_cli.metric import EvaluationContext
from ebm_cli.metric.frechet import Frechet


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    data = Digits(noise=0.15)
    held_out, train = noisy_split(data, "held_out", 0), noisy_split(data, "train", 0)
    assert train.clean is not None
    for components, name in ((1, "Gaussian"), (25, "mixture of 25 Gaussians")):
        ratios = []
        for seed in range(seeds):
            model = GaussianMixture(components, reg_covar=0.02, random_state=seed).fit(
                train.clean.flatten(1).double().numpy()
            )
            random = np.random.default_rng(seed)
            x = model.sample(360)[0] + 0.15 * random.standard_normal((360, 64))
            samples = torch.tensor(x, dtype=torch.float32).view(-1, 1, 8, 8)
            subject = EvaluationContext(Quadratic(1.0, (1, 8, 8)), 1.0, (1, 8, 8), data, samples, held_out, train, seed)
            ratios.append(Frechet(bootstrap=2)(subject).estimates["frechet_ratio"].value)
        print(f"{name}: frechet_ratio {np.mean(ratios):.2f}, seeds {', '.join(f'{r:.2f}' for r in ratios)}")


if __name__ == "__main__":
    main()
