"""Features in which sets of pictures are compared: a small classifier of the labels of the data set."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn

from ebm_cli import rng
from ebm_cli.data import Batch, Data, _angles, row_space
from ebm_cli.data._pictures import image_shape

FOLDS = 3
STEPS = 600
BATCH_SIZE = 64
N_FEATURES = 64


@dataclass(frozen=True)
class Features:
    """One feature map per fold. Map f is not trained on the training rows of fold f.

    name: description of the features.
    networks: maps from (n, *event) to (n, size).
    fold_of: fold of each training row; None for maps without training.
    """

    name: str
    networks: list[Callable[[Tensor], Tensor]]
    fold_of: Int[np.ndarray, " rows"] | None

    @property
    def folds(self) -> int:
        return len(self.networks)

    def held_out_rows(self, fold: int, rows: int) -> Int[np.ndarray, " some"]:
        """Return the numbers of the training rows that map `fold` is not trained on."""
        return np.arange(rows) if self.fold_of is None else np.flatnonzero(self.fold_of == fold)

    def __call__(self, fold: int, x: Float[Tensor, "n *event"]) -> Float[np.ndarray, "n size"]:
        with torch.no_grad():
            return self.networks[fold](x).double().cpu().numpy()


def features_of(data: Data, rows: Batch) -> Features:
    """Return the feature network of the data set, or the identity for a set without labels or that is not pictures.

    Angles are given as their cosines and sines, which are features already.

    rows: some rows of the set, with labels if the set has labels.
    """
    if row_space(data) == _angles.SPACE:
        return identity_features("cosines and sines")
    if rows.y is None or len(data.event) != 3:
        return identity_features()
    return classifier_features(data)


def identity_features(name: str = "the rows themselves") -> Features:
    """Return the flattened rows as features."""
    return Features(f"features: {name}", [lambda x: x.flatten(1)], None)


def classifier_features(data: Data) -> Features:
    """Train three convolutional classifiers, each on two thirds of the training rows, noise included.

    They depend only on the data set: their seeds are fixed. Takes about four seconds for 8×8 pictures.
    """
    train = data.split("train")
    assert train.y is not None
    labels = train.y.cpu().numpy()
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(np.zeros(len(labels)), labels)
    fold_of = np.empty(len(labels), dtype=np.int64)
    networks: list[Callable[[Tensor], Tensor]] = []
    for fold, (rows, other_rows) in enumerate(folds):
        fold_of[other_rows] = fold
        chosen = torch.as_tensor(rows, device=train.x.device)
        networks.append(whiten(train_classifier(data, train, chosen, fold), data, train.x[chosen]))
    name = f"features: {N_FEATURES} whitened penultimate units of a small classifier, {FOLDS} folds"
    return Features(name, networks, fold_of)


def whiten(network: nn.Module, data: Data, clean: Float[Tensor, "n *event"]) -> nn.Module:
    """Return the network followed by the linear map that gives noisy training rows unit covariance.

    Without this map, a few directions in which classes are far apart contribute nearly all of the distance. The noise
    of the distance is then a quarter of the floor at 360 rows, compared with a tenth. Variances below a thousandth of
    the largest variance are set to this bound.
    """
    generator = rng.generator(0, "whitening", clean.device)
    with torch.no_grad():
        h = network(clean + data.noise * rng.normal_like(clean, generator))
        variances, axes = torch.linalg.eigh(torch.cov(h.T.double()))
        scale = variances.clamp(min=1e-3 * float(variances.max())).rsqrt()
        linear = nn.Linear(N_FEATURES, N_FEATURES, bias=False, device=h.device, dtype=h.dtype)
        linear.weight.copy_((axes * scale).T)
    return nn.Sequential(network, linear)


def train_classifier(data: Data, train: Batch, rows: Int[Tensor, " some"], fold: int) -> nn.Module:
    """Return a classifier up to its penultimate layer, trained only on these rows."""
    assert train.y is not None
    channels, height, width = image_shape("the classifier of features", tuple(data.event))
    generator = rng.generator(fold, "features", train.x.device)
    with rng.seeded_layers(fold, "features"):
        trunk = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * ((height + 1) // 2) * ((width + 1) // 2), N_FEATURES),
            nn.ReLU(),
        )
        head = nn.Linear(N_FEATURES, int(train.y.max()) + 1)
    parameters = [*trunk.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=STEPS)
    for _ in range(STEPS):
        chosen = rows[torch.randint(len(rows), (BATCH_SIZE,), generator=generator, device=rows.device)]
        clean = train.x[chosen]
        x = clean + data.noise * rng.normal_like(clean, generator)
        loss = nn.functional.cross_entropy(head(trunk(x)), train.y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return trunk.eval()
