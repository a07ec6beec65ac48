"""A neural spline flow: the density to beat among those that are trained. It needs zuko, an extra of the package."""

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import rng
from ebm_cli.density.fit_data import Material, largest_variance

TRANSFORMS, HIDDEN, BINS = 3, (256, 256), 8
BATCH = 128
RATES = (1e-3, 3e-4, 1e-4)
WEIGHT_DECAY = 1e-2
DROPOUT = 0.2
CLIP = 5.0
AVERAGE = 0.99
# Steps between looks at the validation rows, how many looks without a better one end a rate, and steps of one at most.
LOOK, PATIENCE, MOST_STEPS = 50, 6, 4000


class Flow(nn.Module):
    """log q((x − m)/s) − Σⱼ log sⱼ, q the flow; m and s the rows' own mean and spread."""

    middle: Tensor
    spread: Tensor

    def __init__(self, network: nn.Module, middle: Float[Tensor, " d"], spread: Float[Tensor, " d"]) -> None:
        super().__init__()
        self.words = f"neural spline flow, {TRANSFORMS} transforms of {HIDDEN[0]} units"
        self.network = network.double().requires_grad_(False)
        self.register_buffer("middle", middle)
        self.register_buffer("spread", spread)

    def log_prob(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        z = (x - self.middle) / self.spread
        with torch.no_grad():
            return torch.cat([self.network().log_prob(part) for part in z.split(1000)]) - self.spread.log().sum()

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n d"]:
        """Independent draws: the transform's inverse of standard normal rows."""
        normal = torch.randn(n, len(self.middle), generator=rng, device=rng.device, dtype=self.middle.dtype)
        with torch.no_grad():
            return self.middle + self.spread * self.network().transform.inv(normal.to(self.middle))


def fit(material: Material, stop: Callable[[], bool]) -> Flow:
    """Three autoregressive rational-quadratic splines (Durkan et al., 2019, arXiv 1906.04032; zuko's NSF).

    Trained by maximum likelihood of four fifths of the rows, with fresh noise at each step, over three falling rates.
    What is kept is the running average of the weights with the best validation; a rate ends when it stops improving.
    stop: asked at every validation; on True the best so far comes back.
    """
    middle, spread = units(material)
    with rng.seeded_layers(material.seed, "baseline/flow"):
        best = trained(network(material), material, middle, spread, stop)
    return Flow(best, middle, spread)


def untrained(material: Material) -> Flow:
    """A flow of the same shapes, to load a fitted one's numbers into."""
    with rng.seeded_layers(material.seed, "baseline/flow"):
        return Flow(network(material).eval(), *units(material))


def network(material: Material) -> nn.Module:
    """zuko's flow for rows of this size, on the CPU in single precision."""
    import zuko

    with torch.device("cpu"):
        return zuko.flows.NSF(
            material.size,
            transforms=TRANSFORMS,
            bins=BINS,
            hidden_features=HIDDEN,
            activation=lambda: nn.Sequential(nn.SiLU(), nn.Dropout(DROPOUT)),
        ).to(torch.float32)


def units(material: Material) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """Mean and standard deviation of each coordinate, noise included."""
    rows = material.fit
    spread = rows.var(0, correction=0) + material.noise**2
    return rows.mean(0), spread.clamp(min=1e-6 * largest_variance(rows)).sqrt()


def trained(
    network: nn.Module, material: Material, middle: Tensor, spread: Tensor, stop: Callable[[], bool]
) -> nn.Module:
    """The running average with the best validation; that so far where `stop` says so."""
    generator = rng.generator(material.seed, "baseline/flow", "cpu")
    rows, scored = ((x.sub(middle) / spread).float() for x in (material.fit, material.scored()))
    noise = (material.noise / spread).float()
    average, best, kept = copy.deepcopy(network).eval(), torch.inf, copy.deepcopy(network).eval()
    for rate in RATES:
        network.load_state_dict(kept.state_dict())
        average.load_state_dict(kept.state_dict())
        optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
        stale = 0
        for step in range(1, MOST_STEPS + 1):
            x = rows[torch.randint(len(rows), (min(BATCH, len(rows)),), generator=generator)]
            loss = -network().log_prob(x + noise * rng.normal_like(x, generator)).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimizer.step()
            with torch.no_grad():
                for mean, new in zip(average.parameters(), network.parameters(), strict=True):
                    mean.lerp_(new, 1 - min(AVERAGE, step / (step + 9)))
            if step % LOOK == 0:
                with torch.no_grad():
                    score = -float(average().log_prob(scored).mean())
                if score < best:
                    best, stale = score, 0
                    kept.load_state_dict(average.state_dict())
                else:
                    stale += 1
                if stale == PATIENCE or stop():
                    break
    return kept
