"""Noise distributions for noise-contrastive estimation: fitted to the training samples, with a known density."""

import math
from importlib.util import find_spec
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli.check import InputError, one_of
from ebm_cli.data import DISCRETE, Data, _angles, row_space
from ebm_cli.density import bernoulli, bernoulli_mixture, flow
from ebm_cli.density.discrete_rows import ProductMixture, make_discrete_fit_data
from ebm_cli.density.fit_data import make_fit_data
from ebm_cli.energy._gaussians import Gaussians, fitted_gaussians, mix, widen
from ebm_cli.run.terminal import never_stop

KINDS = ("gaussian", "mixture", "flow")
DISCRETE_KINDS = ("bernoulli", "bernoulli_mixture")
ANGLE_KINDS = ("uniform",)
AUTO = "auto"
# Standard deviation of the broad component, relative to the data.
BROAD_FACTOR = 2.0


@runtime_checkable
class Noise(Protocol):
    """A distribution over flattened states with exact draws and a known density."""

    def log_prob(self, x: Float[Tensor, "n size"]) -> Float[Tensor, " n"]: ...

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n size"]: ...


def fit_noise(
    kind: str, components: int, broad: float, data: Data
) -> "Gaussians | FlowNoise | SiteNoise | UniformNoise":
    """Return a distribution fitted to the data; raise InputError for another kind or too few training samples.

    kind: gaussian, mixture or flow; flow needs zuko. bernoulli or bernoulli_mixture for discrete states. uniform for
        angles, which is not fitted. auto: the mixture of the data's space, or uniform.
    components: number of Gaussians of a mixture (≥ 1).
    broad: weight of one Gaussian fitted to the data and made twice as wide, or of uniform discrete states (in [0, 1)).
    """
    one_of("noise", kind, (*KINDS, *DISCRETE_KINDS, *ANGLE_KINDS, AUTO))
    space = row_space(data)
    fitting = kinds_that_fit(space)
    if kind not in (*fitting, AUTO):
        raise InputError(f"noise must be {' or '.join(fitting)} for {space} states, got {kind}")
    if space in DISCRETE:
        return SiteNoise(kind, broad, data)
    if space == _angles.SPACE:
        return UniformNoise(data.event)
    if kind == "flow":
        return FlowNoise(broad, data)
    narrow = fitted_gaussians("components", 1 if kind == "gaussian" else components, data)
    return mix(narrow, widen(fitted_gaussians("components", 1, data), BROAD_FACTOR), broad) if broad else narrow


def kinds_that_fit(space: str) -> tuple[str, ...]:
    """Return the kinds of noise over states of this space."""
    if space in DISCRETE:
        return DISCRETE_KINDS
    return ANGLE_KINDS if space == _angles.SPACE else KINDS


class UniformNoise:
    """Independent uniform angles. event: shape of a state."""

    def __init__(self, event: tuple[int, ...]) -> None:
        self.size = math.prod(event)

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n size"]:
        return _angles.uniform(n, (self.size,), rng, torch.get_default_dtype())

    def log_prob(self, x: Float[Tensor, "n size"]) -> Float[Tensor, " n"]:
        return x.new_full((len(x),), -self.size * math.log(_angles.PERIOD))


class FlowNoise(nn.Module):
    """(1 − broad)·q + broad·N(m, 4C), with q the spline flow of `density.flow`, fitted before the first draw.

    The fit takes a minute or more. It is part of the checkpoint. Therefore a resumed run does not repeat it. The flow
    computes on the CPU, in double precision.
    """

    fitted: Tensor

    def __init__(self, broad: float, data: Data) -> None:
        super().__init__()
        if find_spec("zuko") is None:
            raise InputError("noise=flow needs zuko: pip install 'ebm-cli[baselines]'")
        self.wide = widen(fitted_gaussians("components", 1, data), BROAD_FACTOR)
        self.broad = broad
        # The fit does not depend on the seed of the run, like the fit of a mixture.
        self.rows = make_fit_data(data, 0)
        self.flow = flow.build_flow(self.rows)
        self.register_buffer("fitted", torch.tensor(False))

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n size"]:
        if not bool(self.fitted):
            with torch.enable_grad():
                self.flow.load_state_dict(flow.fit(self.rows, never_stop).state_dict())
            self.fitted.fill_(True)
        wide = self.wide.draw(n, rng)
        narrow = self.flow.draw(n, rng).to(wide)
        return torch.where(torch.rand(n, 1, generator=rng, device=wide.device) < self.broad, wide, narrow)

    def log_prob(self, x: Float[Tensor, "n size"]) -> Float[Tensor, " n"]:
        narrow = self.flow.log_prob(x.double().cpu()).to(x) + math.log1p(-self.broad)
        return torch.logaddexp(narrow, self.wide.log_prob(x) + math.log(self.broad)) if self.broad else narrow


class SiteNoise(nn.Module):
    """(1 − broad)·q + broad·u, with q independent sites or a mixture of them, and u the uniform distribution."""

    log_weights: Tensor
    log_p: Tensor

    def __init__(self, kind: str, broad: float, data: Data) -> None:
        super().__init__()
        # The fit does not depend on the seed of the run.
        rows = make_discrete_fit_data(data, 0)
        self.sites = rows.sites
        found = bernoulli.fit(rows) if kind == "bernoulli" else bernoulli_mixture.fit(rows, never_stop)
        if broad:
            found = with_uniform(found, broad)
        self.register_buffer("log_weights", found.log_weights)
        self.register_buffer("log_p", found.log_p)

    def draw(self, n: int, rng: torch.Generator) -> Float[Tensor, "n size"]:
        return self.sites.states(self._density.draw(n, rng), torch.get_default_dtype()).flatten(1)

    def log_prob(self, x: Float[Tensor, "n size"]) -> Float[Tensor, " n"]:
        return self._density.log_prob(self.sites.numbers(x)).to(x.dtype)

    @property
    def _density(self) -> ProductMixture:
        return ProductMixture("", self.log_weights, self.log_p)


def with_uniform(density: ProductMixture, weight: float) -> ProductMixture:
    """Return the mixture with one more component of this weight, in which all values have equal probability."""
    uniform = torch.full_like(density.log_p[:1], -math.log(density.log_p.shape[2]))
    others = density.log_weights.logsumexp(0)
    log_weights = torch.cat([density.log_weights - others + math.log1p(-weight), others.new_tensor([math.log(weight)])])
    return ProductMixture(density.words, log_weights, torch.cat([density.log_p, uniform]))
