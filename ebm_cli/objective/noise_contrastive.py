"""Noise-contrastive estimation: telling data from noise of known density, with log Z learned beside the energy."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from ebm_cli import check
from ebm_cli.data import Batch, Data
from ebm_cli.objective import Objective, Outcome, temperature_of
from ebm_cli.objective._noise import Noise, fitted
from ebm_cli.sampler import Sampler

FORMS = ("binary", "ranking")


class NoiseContrastive(Objective):
    """binary: loss = mean log(1 + exp(−G(x))) + ν·mean log(1 + exp(G(y))), G = −E/T − log Z − log p_n − log ν.

    Gutmann and Hyvärinen, 2012 (JMLR 13, 307), eq. 8 and 9: x is data, y noise, ν rows of noise to one of data, and G
    the log odds of being data. The optimum is the data's law with log Z a parameter, learned as the others are; where
    noise and data hardly overlap the loss saturates and finds neither.
    ranking: loss = mean −log(exp s(x)/(exp s(x) + Σⱼ exp s(yⱼ))), s = −E/T − log p_n: which of 1 + ν rows is data (Ma
    and Collins, 2018, arXiv 1809.01812, eq. 3). Z cancels; log_z is then the estimate log mean exp s(y) of each step.

    The energy is free wherever there is neither data nor noise, and mass may hide there: so a share of the fitted noise
    is spread twice as wide as the data.

    noise: gaussian, mixture, of `components` ≥ 1 Gaussians, or flow, a neural spline flow (Gao et al., 2020, arXiv
    1912.00589, without adapting it to the energy), fitted to the training rows; or an object with `log_prob` and
    `draw`. broad: share in [0, 1) of the fitted noise that is one Gaussian, twice as wide. ratio: ν ≥ 1. form:
    binary or ranking. Logs log_z = log ∫ exp(−E/T) dx, which goes with the weights of each step and not with their
    average, and the share of rows that are told right.
    """

    begun: Tensor

    def __init__(
        self,
        noise: str | Noise,
        components: int,
        broad: float,
        ratio: int,
        form: str,
        data: Data,
        sampler: Sampler,
    ) -> None:
        super().__init__()
        check.count("components", components)
        check.half_open("broad", broad)
        check.count("ratio", ratio)
        check.one_of("form", form, FORMS)
        self.temperature = temperature_of(sampler)
        if isinstance(noise, str):
            noise = fitted(noise, components, broad, data)
        self.noise = noise
        self.ratio = ratio
        self.log_z = nn.Parameter(torch.zeros(())) if form == "binary" else None
        self.register_buffer("begun", torch.tensor(False))

    @property
    def has_chains(self) -> bool:
        return False

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        n = len(batch.x)
        with torch.no_grad():
            y = self.noise.draw(self.ratio * n, rng)
            log_noise = self.noise.log_prob(torch.cat([batch.x.flatten(1), y]))
        e = energy(torch.cat([batch.x, y.view(-1, *batch.x.shape[1:])]))
        s = -e / self.temperature - log_noise
        if self.log_z is None:
            loss, right, log_z = ranking(s[:n], s[n:].view(n, self.ratio))
        else:
            if not bool(self.begun):
                self._begin(s[n:].detach())
            loss, right = binary(s[:n] - self.log_z, s[n:] - self.log_z)
            log_z = self.log_z
        scalars = {"log_z": log_z, "accuracy": right}
        return Outcome(loss=loss, x_data=batch.x, e_data=e[:n], clean=batch.clean, scalars=scalars)

    def _begin(self, s: Float[Tensor, " m"]) -> None:
        """log Z of the energy as it is, by importance sampling from the noise: a start that costs nothing."""
        assert self.log_z is not None
        with torch.no_grad():
            self.log_z.copy_(s.logsumexp(0) - math.log(len(s)))
        self.begun.fill_(True)


def binary(x: Float[Tensor, " n"], y: Float[Tensor, " m"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The loss from log p_θ − log p_n of data and of m = νn rows of noise, and the share that is told right."""
    ν = len(y) / len(x)
    x, y = x - math.log(ν), y - math.log(ν)
    right = torch.cat([x > 0, y <= 0]).to(x.dtype).mean()
    return softplus(-x).mean() + ν * softplus(y).mean(), right


def ranking(
    x: Float[Tensor, " n"], y: Float[Tensor, "n ν"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """The loss from s of data and of each one's noise, the share that is ranked first, and log mean exp s(y)."""
    together = torch.cat([x[:, None], y], 1)
    right = (x > y.amax(1)).to(x.dtype).mean()
    log_z = y.detach().logsumexp((0, 1)) - math.log(y.numel())
    return (together.logsumexp(1) - x).mean(), right, log_z
