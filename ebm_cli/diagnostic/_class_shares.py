"""The classes of labeled images as modes, by a classifier and a correction for its errors."""

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from ebm_cli.data import Batch, Data
from ebm_cli.data._features import train_classifier
from ebm_cli.diagnostic._mode_shares import ModeShares
from ebm_cli.wells.descent import states_of

FOLDS = 3


def by_classes(energy: nn.Module, few: Float[np.ndarray, "chain draw *event"], data: Data, train: Batch) -> ModeShares:
    """Return the fractions o of the classes, by a classifier's probabilities p.

    E[p_j] = Σᵢ oᵢ C_ij with C_ij the mean of p_j over rows of class i outside of the classifier's training set.
    Therefore o = E[p]·C⁻¹ (Rogan and Gladen, 1978, Am. J. Epidemiology 107, 71). The fraction of one chain can be
    below 0; the mean over chains is clipped to [0, 1].
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import cross_val_predict

    assert train.y is not None
    labels = train.y.cpu().numpy()
    count, draws = few.shape[:2]
    # One network costs a third of the three that a distance between features needs.
    is_fitted = torch.arange(len(labels), device=train.x.device) % FOLDS != 0
    network = train_classifier(data, data.split("train"), is_fitted.nonzero()[:, 0], fold=0)
    # Rows of the network's training set are separated better than draws, so only the other rows are compared.
    other_rows, names = train.x[~is_fitted], labels[~is_fitted.cpu().numpy()]
    x = states_of(energy, few.reshape(count * draws, *few.shape[2:])).to(train.x)
    with torch.no_grad():
        real, drawn = (network(part).double().cpu().numpy() for part in (other_rows, x))
    rule = LinearDiscriminantAnalysis()
    predicted = cross_val_predict(rule, real, names, cv=FOLDS, method="predict_proba")
    classes, counts = np.unique(labels, return_counts=True)
    confused = np.stack([predicted[names == label].mean(0) for label in classes])
    probability = rule.fit(real, names).predict_proba(drawn).reshape(count, draws, -1).mean(1)
    return ModeShares(
        names=[f"class {label}" for label in classes],
        numbers=[int(label) for label in classes],
        fractions=probability @ np.linalg.inv(confused),
        draws=draws,
        method=(
            f"classes of the data, by a classifier with {confused.diagonal().mean():.1%} accuracy on unseen rows, "
            "corrected for its errors"
        ),
        references={"data rows": counts / counts.sum()},
        exact=False,
        rows=len(labels),
    )
