"""A neural spline flow: the most flexible baseline. It needs zuko, an extra of the package."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import rng
from ebm_cli.density.early_stop import Plan, best_average
from ebm_cli.density.fit_data import FitData, largest_variance
from ebm_cli.run.machine import default_device

TRANSFORMS, HIDDEN, BINS = 3, (256, 256), 8
BATCH_SIZE = 128
LEARNING_RATES = (1e-3, 3e-4, 1e-4)
WEIGHT_DECAY = 1e-2
DROPOUT = 0.2
# Steps between validations; validations without improvement, and steps, after which a learning rate is finished.
VALIDATE_EVERY, PATIENCE, MAX_STEPS = 50, 6, 4000


class Flow(nn.Module):
    """log q((x − m)/s) − Σⱼ log sⱼ, q the flow; m and s the mean and standard deviation of the rows."""

    middle: Tensor
    spread: Tensor

    def __init__(self, network: nn.Module, mean: Float[Tensor, " d"], std: Float[Tensor, " d"]) -> None:
        super().__init__()
        self.words = f"neural spline flow, {TRANSFORMS} transforms of {HIDDEN[0]} units"
        self.network = network.double().requires_grad_(False)
        # These names are in checkpoints.
        self.register_buffer("middle", mean)
        self.register_buffer("spread", std)

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        z = (x - self.middle) / self.spread
        with torch.no_grad():
            return torch.cat([self.network().log_prob(part) for part in z.split(1000)]) - self.spread.log().sum()

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Return independent draws: the inverse transform of standard normal rows."""
        normal = torch.randn(n, len(self.middle), generator=rng, device=rng.device, dtype=self.middle.dtype)
        with torch.no_grad():
            return self.middle + self.spread * self.network().transform.inv(normal.to(self.middle))


def fit(data: FitData, stop: Callable[[], bool]) -> Flow:
    """Return three autoregressive rational-quadratic splines (Durkan et al., 2019, arXiv 1906.04032; zuko's NSF).

    The flow is trained by maximum likelihood of four fifths of the rows, with new noise at each step, at three
    decreasing learning rates. Each learning rate is used until the validation score stops improving. The result is the
    moving average of the weights with the best validation score.

    stop: polled at every validation; if true, the best weights so far are returned.
    """
    mean, std = mean_and_std(data)
    with rng.seeded_layers(data.seed, "baseline/flow"):
        best = train(build_network(data), data, mean, std, stop)
    return Flow(best, mean, std)


def build_flow(data: FitData) -> Flow:
    """Return an untrained flow of the same shapes. The weights of a fitted flow can be loaded into it."""
    with rng.seeded_layers(data.seed, "baseline/flow"):
        return Flow(build_network(data).eval(), *mean_and_std(data))


def build_network(data: FitData) -> nn.Module:
    """Return zuko's flow for rows of this size, on the CPU in single precision."""
    import zuko

    with default_device("cpu"):
        return zuko.flows.NSF(
            data.size,
            transforms=TRANSFORMS,
            bins=BINS,
            hidden_features=HIDDEN,
            activation=lambda: nn.Sequential(nn.SiLU(), nn.Dropout(DROPOUT)),
        ).to(torch.float32)


def mean_and_std(data: FitData) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """Return mean and standard deviation of each coordinate, with the noise."""
    rows = data.fit
    variance = rows.var(0, correction=0) + data.noise**2
    return rows.mean(0), variance.clamp(min=1e-6 * largest_variance(rows)).sqrt()


def train(network: nn.Module, data: FitData, mean: Tensor, std: Tensor, stop: Callable[[], bool]) -> nn.Module:
    """Return the moving average of the weights with the best validation score."""
    generator = rng.generator(data.seed, "baseline/flow", "cpu")
    rows, checked = ((x.sub(mean) / std).float() for x in (data.fit, data.validation_rows()))
    noise = (data.noise / std).float()

    def batch() -> Tensor:
        x = rows[torch.randint(len(rows), (min(BATCH_SIZE, len(rows)),), generator=generator)]
        return x + noise * rng.normal_like(x, generator)

    plan = Plan(LEARNING_RATES, WEIGHT_DECAY, VALIDATE_EVERY, PATIENCE, MAX_STEPS)
    return best_average(network, lambda flow, x: flow().log_prob(x), batch, checked, plan, stop)
