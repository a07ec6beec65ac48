"""A path through the noise levels of a noise-conditional energy, from noisy rows to the model."""

import dataclasses
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from ebm_cli import check, rng
from ebm_cli.check import InputError
from ebm_cli.data import Batch
from ebm_cli.energy._noise_levels import check_rising, require_noise_level
from ebm_cli.path._drawn_path import DrawnPath, check_anchors
from ebm_cli.run.sampled import SampledRun

RECOVERY = "ebm_cli.objective.denoising_recovery.DenoisingRecovery"


class EnergyAtLevel(nn.Module):
    """E(x, σ) as a function of x."""

    def __init__(self, energy: nn.Module, level: float) -> None:
        super().__init__()
        self.energy, self.level = energy, level

    def forward(self, x: Float[Tensor, "n *event"]) -> Float[Tensor, " n"]:
        return self.energy(x, condition=x.new_full((len(x),), self.level))


@dataclass(frozen=True)
class LevelsPath(DrawnPath):
    """Anchors E(x, σ)/T at falling noise levels σ, then the model, and linear mixtures of neighbors between them.

    An energy that was trained at several levels has wide modes at the largest of them, and their masses are right at
    each. The base is fitted to rows with noise of the largest level.

    levels: rising σ above the energy's own noise_level (> 0); auto: those at which the run was trained, of which a
        pilot run keeps as few as still swap often.
    run: the run.
    Other fields: see `DrawnPath`.
    """

    levels: str | list[float]
    run: SampledRun | None

    def __post_init__(self) -> None:
        check.every(super().__post_init__, self.check_levels, lambda: check_anchors(self.betas, self.levels))

    def check_levels(self) -> None:
        """Raise InputError unless the levels are auto, or a rising list."""
        if self.levels != "auto":
            check_rising(self.levels, "levels")
        elif self.betas != "auto":
            raise InputError("betas=[…] needs the levels that they stand at. Type path.levels=[…]")
        elif self.run is None:
            raise InputError("levels leads through noise levels of a trained run. Type run=RUN, or path.levels=[0.3,1]")

    @property
    def description(self) -> str:
        assert isinstance(self.levels, list)
        return f", through noise levels {', '.join(f'{level:g}' for level in self.levels[::-1])}"

    @property
    def segments(self) -> int:
        return len(self.levels) + 1

    def models(self, energy: nn.Module) -> list[nn.Module]:
        """See `DrawnPath`. Raises InputError if the energy has no noise levels, or none below these."""
        assert isinstance(self.levels, list)
        own = require_noise_level(energy, "path=levels", 0.1)
        if self.levels[0] <= own:
            raise InputError(f"path.levels must be > energy.noise_level={own:g}, got {self.levels}")
        return [*(EnergyAtLevel(energy, level) for level in reversed(self.levels)), energy]

    def with_candidates(self, energy: nn.Module) -> "LevelsPath":
        """See `DrawnPath`. Raises InputError if the run was not trained at levels above the energy's own."""
        if self.levels != "auto":
            return self
        own = require_noise_level(energy, "path=levels", 0.1)
        levels = [level for level in self.trained_levels() if level > own]
        if not levels:
            raise InputError(
                f"path=levels needs a run that was trained at noise levels above energy.noise_level={own:g}, by "
                "objective.sigma=[…]. Type path=base"
            )
        return dataclasses.replace(self, levels=levels)

    def trained_levels(self) -> list[float]:
        """Return the levels at which the run's energy was trained, rising; none for one level."""
        assert self.run is not None
        objective = self.run.objective()
        sigma = objective.get("sigma")
        if not isinstance(sigma, list):
            return []
        # The last level of denoising_recovery is only noise that is added, and no condition of the energy.
        return sorted(sigma)[: -1 if objective.get("_target_") == RECOVERY else None]

    def with_anchors(self, kept: list[int]) -> "LevelsPath":
        assert isinstance(self.levels, list)
        falling = self.levels[::-1]
        path = dataclasses.replace(self, levels=[falling[number - 1] for number in reversed(kept[1:-1])])
        return self.with_cache_of_anchors(path, kept)

    def rows(self) -> tuple[Batch | None, float]:
        rows, _ = super().rows()
        if rows is None:
            return None, 0.0
        clean, σ = rows.x if rows.clean is None else rows.clean, float(self.levels[-1])
        noise = rng.normal_like(clean, rng.generator(0, "path/levels", clean.device))
        return Batch(clean + σ * noise, clean), σ
