"""A classifier and an energy in one: cross-entropy beside contrastive training."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data, noised
from ebm_cli.energy import Logits, frozen, offers
from ebm_cli.objective import Objective, Outcome
from ebm_cli.objective.contrastive import Contrastive
from ebm_cli.sampler import Sampler
from ebm_cli.start import Start


class JointClassifier(Objective):
    """loss = weight · mean −log p(y|x) + (mean E(x_data) − mean E(x_model))/T, E(x) = −log Σ_y exp f(x)[y].

    Grathwohl et al., 2020 (arXiv 1912.03263), section 3: log p(x, y) = log p(x) + log p(y|x), p(y|x) = softmax f(x).
    The first part is a classifier's own; the second, see `contrastive` for it and its bias, sets the logits' common
    level, which a classifier leaves free. T is that of p(x) alone. Sampling draws x of all classes.

    weight: > 0 of the cross-entropy. steps, wait: of `contrastive`; while chains wait the classifier is trained alone.
    Logs cross_entropy and accuracy of the batch, accuracy_held_out of the held-out rows. Raises InputError for data
    without labels, and for an energy without logits or with too few of them.
    """

    def __init__(
        self, weight: float, steps: int, wait: int, data: Data, sampler: Sampler, start: Start, engine: str
    ) -> None:
        super().__init__()
        check.positive("weight", weight)
        y = data.split("train").y
        if y is None:
            raise InputError(
                f"data must have labels for objective=joint_classifier, {type(data).__name__} has none: digits, mnist, "
                "gaussians_8 and other synthetic sets have; use objective=contrastive without"
            )
        self.weight = weight
        self.classes = int(y.max()) + 1
        self.data = data
        self.contrastive = Contrastive(steps, None, wait, sampler, start, engine)

    @property
    def steps(self) -> int:
        """Kernel steps a training step."""
        return self.contrastive.steps

    @property
    def has_chains(self) -> bool:
        return self.contrastive.has_chains

    def suits(self, energy: nn.Module, event: tuple[int, ...]) -> None:
        if not offers(energy, Logits):
            raise InputError(
                f"energy must have logits for objective=joint_classifier, {type(energy).__name__} has none: use "
                "energy=classifier"
            )
        with torch.no_grad(), frozen(energy):
            columns = energy.logits(torch.zeros(1, *event)).shape[1]
        if columns < self.classes:
            raise InputError(f"energy.classes must be >= {self.classes}, the classes of the data, got {columns}")

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        assert offers(energy, Logits) and batch.y is not None
        outcome = self.contrastive(energy, batch, rng)
        logits = energy.logits(batch.x)
        error = cross_entropy(logits, batch.y)
        figures = {"cross_entropy": error.detach(), "accuracy": accuracy(logits, batch.y)}
        return replace(
            outcome,
            loss=self.weight * error + outcome.loss,
            scalars=outcome.scalars | figures,
            measures=outcome.measures | {"accuracy_held_out": lambda: self.held_out(energy)},
        )

    def held_out(self, energy: nn.Module) -> Float[Tensor, ""]:
        """Accuracy on the held-out rows, with the data's own noise."""
        assert offers(energy, Logits)
        rows = noised(self.data, "held_out", 0)
        assert rows.y is not None
        with torch.no_grad(), frozen(energy):
            return accuracy(energy.logits(rows.x), rows.y)


def accuracy(logits: Float[Tensor, "n classes"], y: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """The share of rows whose largest logit is that of their label."""
    return (logits.argmax(1) == y).to(logits.dtype).mean()
