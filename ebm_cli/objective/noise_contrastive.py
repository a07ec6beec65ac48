"""Noise-contrastive estimation: separate data from noise of known density, and fit log Z together with the energy."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from ebm_cli import check
from ebm_cli.data import Batch, Data
from ebm_cli.objective import Objective, Outcome, temperature_of
from ebm_cli.objective._noise import Noise, fit_noise
from ebm_cli.sampler import Sampler

FORMS = ("binary", "ranking")


class NoiseContrastive(Objective):
    """binary: loss = mean log(1 + exp(−G(x))) + ν·mean log(1 + exp(G(y))), G = −E/T − log Z − log p_n − log ν.

    Gutmann and Hyvärinen, 2012 (JMLR 13, 307), eq. 8 and 9: x is data, y noise, ν the number of noise samples per data
    sample, and G the log odds of data. The optimum is the data distribution, and log Z is a trained parameter. If noise
    and data hardly overlap, the loss saturates and finds neither.
    ranking: loss = mean −log(exp s(x)/(exp s(x) + Σⱼ exp s(yⱼ))), s = −E/T − log p_n: which of 1 + ν samples is data
    (Ma and Collins, 2018, arXiv 1809.01812, eq. 3). Z cancels. log_z is then the estimate log mean exp s(y) of the
    step.

    In regions without data and noise the energy is not constrained, and the model may have mass there. Therefore a
    fraction of the fitted noise is twice as wide as the data, or uniform for discrete states.

    noise: fitted to the training samples: gaussian, mixture, or flow, a neural spline flow (Gao et al., 2020,
        arXiv 1912.00589, without adapting it to the energy); for discrete states bernoulli, independent sites, or
        bernoulli_mixture, a mixture of them; uniform for angles. auto is the mixture of the space, or uniform. Or an
        object with `log_prob` and `draw`.
    components: number of Gaussians of the mixture (≥ 1); that of bernoulli_mixture is the best in validation.
    broad_weight: weight of one Gaussian, twice as wide, or of uniform states in the fitted noise (in [0, 1)).
    ratio: ν (≥ 1).
    loss: binary or ranking.

    Logs log_z = log ∫ exp(−E/T) dx, or log Σ exp(−E/T), of the weights of the step, not of their average, and the
    fraction of samples that are classified correctly.
    """

    has_chains = False
    begun: Tensor

    def __init__(
        self,
        noise: str | Noise,
        components: int,
        broad_weight: float,
        ratio: int,
        loss: str,
        data: Data,
        sampler: Sampler,
    ) -> None:
        super().__init__()
        check.count("components", components)
        check.half_open("broad_weight", broad_weight)
        check.count("ratio", ratio)
        check.one_of("loss", loss, FORMS)
        self.temperature = temperature_of(sampler)
        self.noise = fit_noise(noise, components, broad_weight, data) if isinstance(noise, str) else noise
        self.ratio = ratio
        self.log_z = nn.Parameter(torch.zeros(())) if loss == "binary" else None
        self.register_buffer("begun", torch.tensor(False))

    def forward(self, energy: nn.Module, batch: Batch, rng: torch.Generator) -> Outcome:
        n = len(batch.x)
        with torch.no_grad():
            y = self.noise.draw(self.ratio * n, rng)
            log_noise = self.noise.log_prob(torch.cat([batch.x.flatten(1), y]))
        e = energy(torch.cat([batch.x, y.view(-1, *batch.x.shape[1:])]))
        s = -e / self.temperature - log_noise
        log_z = self.log_z
        if log_z is None:
            loss, accuracy = ranking_loss(s[:n], s[n:].view(n, self.ratio))
            log_z = log_mean_exp(s[n:].detach())
        else:
            if not bool(self.begun):
                # Importance sampling from the noise gives log Z of the initial energy at no cost.
                log_z.data.copy_(log_mean_exp(s[n:].detach()))
                self.begun.fill_(True)
            loss, accuracy = binary_loss(s[:n] - log_z, s[n:] - log_z)
        scalars = {"log_z": log_z, "accuracy": accuracy}
        return Outcome(loss=loss, x_data=batch.x, e_data=e[:n], clean=batch.clean, scalars=scalars)


def binary_loss(x: Float[Tensor, " n"], y: Float[Tensor, " m"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the loss and the accuracy, given log p_θ − log p_n of n data and of m = νn noise samples."""
    ν = len(y) / len(x)
    x, y = x - math.log(ν), y - math.log(ν)
    accuracy = torch.cat([x > 0, y <= 0]).to(x.dtype).mean()
    return softplus(-x).mean() + ν * softplus(y).mean(), accuracy


def ranking_loss(x: Float[Tensor, " n"], y: Float[Tensor, "n ν"]) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the loss and the fraction of data ranked first, given s of data and of the noise of each."""
    candidates = torch.cat([x[:, None], y], 1)
    accuracy = (x > y.amax(1)).to(x.dtype).mean()
    return (candidates.logsumexp(1) - x).mean(), accuracy


def log_mean_exp(f: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Return the logarithm of the mean of exp f."""
    return f.logsumexp(0) - math.log(len(f))
