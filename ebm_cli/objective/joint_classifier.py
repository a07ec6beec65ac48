"""A classifier that is also an energy: cross-entropy together with contrastive training."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ebm_cli import check
from ebm_cli.check import InputError
from ebm_cli.data import Batch, Data
from ebm_cli.data._rows import noisy_split
from ebm_cli.energy import frozen
from ebm_cli.energy._capabilities import Logits, offers
from ebm_cli.objective import Objective, Outcome
from ebm_cli.objective.contrastive import Contrastive
from ebm_cli.sampler import Sampler
from ebm_cli.start import Start


class JointClassifier(Objective):
    """loss = weight · mean −log p(y|x) + (mean E(x_data) − mean E(x_model))/T, E(x) = −log Σ_y exp f(x)[y].

    Grathwohl et al., 2020 (arXiv 1912.03263), section 3: log p(x, y) = log p(x) + log p(y|x), p(y|x) = softmax f(x).
    The first term is the loss of a classifier. It does not determine the common level of the logits. The second term
    does; `contrastive` describes it and its bias. T applies only to p(x). Samples x are of all classes.

    weight: factor of the cross-entropy (> 0).
    steps, delay_steps: defined in `Contrastive`. Until the chains start, only the classifier is trained.

    Logs cross_entropy and accuracy of the batch, and accuracy_held_out. Raises InputError for data without labels and
    for an energy without logits or with fewer logits than classes.
    """

    def __init__(
        self, weight: float, steps: int, delay_steps: int, data: Data, sampler: Sampler, start: Start, engine: str
    ) -> None:
        super().__init__()
        check.positive("weight", weight)
        y = data.split("train").y
        if y is None:
            raise InputError(
                f"data must have labels for objective=joint_classifier, {type(data).__name__} has none. Use digits, "
                "mnist or a synthetic set such as gaussians_8, or objective=contrastive"
            )
        self.weight = weight
        self.n_classes = int(y.max()) + 1
        self.data = data
        self.contrastive = Contrastive(steps, None, delay_steps, sampler, start, engine)
        self.has_chains = self.contrastive.has_chains

    @property
    def steps(self) -> int:
        """Kernel steps per training step."""
        return self.contrastive.steps

    def check_energy(self, energy: nn.Module, event: tuple[int, ...]) -> None:
        if not offers(energy, Logits):
            raise InputError(
                f"energy must have logits for objective=joint_classifier, {type(energy).__name__} has none: use "
                "energy=classifier"
            )
        with torch.no_grad(), frozen(energy):
            n_logits = energy.logits(torch.zeros(1, *event)).shape[1]
        if n_logits < self.n_classes:
            raise InputError(f"energy.classes must be >= {self.n_classes}, the classes of the data, got {n_logits}")

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        assert offers(energy, Logits) and batch.y is not None
        outcome = self.contrastive(energy, batch, rng)
        logits = energy.logits(batch.x)
        error = cross_entropy(logits, batch.y)
        scalars = {"cross_entropy": error.detach(), "accuracy": accuracy(logits, batch.y)}
        return replace(
            outcome,
            loss=self.weight * error + outcome.loss,
            scalars=outcome.scalars | scalars,
            measures=outcome.measures | {"accuracy_held_out": lambda: self.held_out_accuracy(energy)},
        )

    def held_out_accuracy(self, energy: nn.Module) -> Float[Tensor, ""]:
        """Return the accuracy on the held-out samples, with the noise of the data."""
        rows = noisy_split(self.data, "held_out", 0)
        assert offers(energy, Logits) and rows.y is not None
        with torch.no_grad(), frozen(energy):
            return accuracy(energy.logits(rows.x), rows.y)


def accuracy(logits: Float[Tensor, "n classes"], y: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Return the fraction of rows for which the logit of their label is the largest."""
    return (logits.argmax(1) == y).to(logits.dtype).mean()
