"""A small autoregressive network: the most flexible baseline of discrete rows."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from ebm_cli import rng
from ebm_cli.density.bernoulli import independent
from ebm_cli.density.discrete_rows import DiscreteFitData, indicators
from ebm_cli.density.early_stop import Plan, best_average
from ebm_cli.run.machine import default_device

HIDDEN = 300
DROPOUT = 0.5
BATCH_SIZE = 64
PLAN = Plan(learning_rates=(3e-3, 1e-3), weight_decay=0.1, validate_every=50, patience=6, max_steps=8000)


class MaskedNetwork(nn.Module):
    """log Πᵢ p(xᵢ | x₁ … xᵢ₋₁) by one hidden layer: h = relu(M∘W x + c), logits = N∘V h + A∘B x + b.

    Germain et al., 2015 (MADE, arXiv 1502.03509), with direct connections. x are indicators of all values but the
    first, whose logit is 0. Hidden unit j belongs to site j mod (d − 1). By the masks M, N and A, a unit depends only
    on sites up to its own, and a site only on units of earlier sites and on earlier sites.

    log_p: log-probabilities of independent sites, at which the network starts.
    """

    M: Tensor
    N: Tensor
    A: Tensor

    def __init__(self, log_p: Float[Tensor, "d k"]) -> None:
        super().__init__()
        self.count, self.values = log_p.shape
        size = self.count * (self.values - 1)
        site, unit = torch.arange(size) // (self.values - 1), torch.arange(HIDDEN) % max(self.count - 1, 1)
        self.register_buffer("M", (unit[:, None] >= site).float())
        self.register_buffer("N", (site[:, None] > unit).float())
        self.register_buffer("A", (site[:, None] > site).float())
        self.inner, self.outer = nn.Linear(size, HIDDEN), nn.Linear(HIDDEN, size)
        self.direct = nn.Parameter(torch.zeros(size, size))
        with torch.no_grad():
            self.outer.bias.copy_((log_p[:, 1:] - log_p[:, :1]).flatten())

    def logits(self, x: Float[Tensor, "n size"]) -> Float[Tensor, "n d k"]:
        """Return the log-odds of each value of each site, compared with its first value, given the earlier sites."""
        h = linear(x, self.inner.weight * self.M, self.inner.bias).relu()
        h = dropout(h, DROPOUT, self.training)
        others = linear(h, self.outer.weight * self.N, self.outer.bias) + linear(x, self.direct * self.A)
        return nn.functional.pad(others.view(-1, self.count, self.values - 1), (1, 0))

    def forward(self, x: Float[Tensor, "n size"]) -> Float[Tensor, " n"]:
        """Return log-probabilities of rows of indicators."""
        logits = self.logits(x)
        chosen = (logits[:, :, 1:].flatten(1) * x).sum(1)
        return chosen - logits.logsumexp(2).sum(1)


class Autoregressive(nn.Module):
    """The network as a density over rows of values."""

    words = f"masked autoregressive network of {HIDDEN} units"

    def __init__(self, network: MaskedNetwork) -> None:
        super().__init__()
        self.network = network.double().eval().requires_grad_(False)

    def log_prob(self, numbers: Int[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return self.network(indicators(numbers, self.network.values))

    def draw(self, n: int, rng: torch.Generator) -> Int[Tensor, "n d"]:
        """Return n independent draws, site by site."""
        numbers = torch.zeros(n, self.network.count, dtype=torch.long)
        for i in range(self.network.count):
            p = self.network.logits(indicators(numbers, self.network.values))[:, i].softmax(1)
            numbers[:, i] = torch.multinomial(p, 1, generator=rng)[:, 0]
        return numbers


def fit(data: DiscreteFitData, stop: Callable[[], bool]) -> Autoregressive:
    """Return the network trained by maximum likelihood of four fifths of the rows, with dropout.

    The result is the moving average of the weights with the best validation score.

    stop: polled at every validation; if true, the best weights so far are returned.
    """
    generator = rng.generator(data.seed, "baseline/autoregressive", "cpu")
    rows, checked = (indicators(part, data.sites.values).float() for part in (data.fit, data.check))

    def batch() -> Tensor:
        return rows[torch.randint(len(rows), (min(BATCH_SIZE, len(rows)),), generator=generator)]

    with rng.seeded_layers(data.seed, "baseline/autoregressive"), default_device("cpu"):
        network = MaskedNetwork(independent(data.fit, data.sites, 1.0).log_p[0]).float()
        best = best_average(network, lambda net, x: net(x), batch, checked, PLAN, stop)
    assert isinstance(best, MaskedNetwork)
    return Autoregressive(best)
