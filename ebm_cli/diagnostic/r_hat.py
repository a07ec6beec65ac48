"""R-hat: whether chains agree with each other."""

from functools import partial

from ebm_cli import check, figure
from ebm_cli.diagnostic import Patient, of_each
from ebm_cli.estimate import Estimate, refused
from ebm_cli.finding import Finding
from ebm_cli.screen import listed


class RHat:
    """R̂ = √(var⁺/W), the largest over coordinates and energy: rank-normalised, split and folded.

    Vehtari et al., 2021 (Bayesian Analysis 16, 667), section 4, by ArviZ's function: var⁺ pools the variance
    within and between half-chains, W is that within; 1 when all agree. Undefined, hence refused, with a chain
    that never moved. `mixing` follows from it: ok at R̂ ≤ mixed, refused above apart, caution between. R̂ cannot see a
    mode that no chain has visited.

    mixed: > 1, usually 1.01. apart: > mixed, usually 1.1.
    """

    def __init__(self, mixed: float, apart: float) -> None:
        check.positive("mixed", mixed)
        if mixed <= 1:
            raise check.InputError(f"mixed must be > 1, got {mixed}")
        check.positive("apart", apart)
        if apart <= mixed:
            raise check.InputError(f"apart must be > mixed ({mixed}), got {apart}")
        self.mixed = mixed
        self.apart = apart

    def __call__(self, patient: Patient) -> Finding:
        from arviz_stats.base.array import array_stats

        screened = patient.screened()
        if screened.stuck:
            reason = f"undefined: {listed(screened.stuck)} never moved; lower sampler.step_size"
            return Finding({"r_hat_max": refused(reason), "mixing": refused(reason)})
        if screened.good is None:
            return Finding({"r_hat_max": refused(screened.fatal), "mixing": refused(screened.fatal)})
        r_hat = partial(array_stats.rhat, chain_axis=0, draw_axis=1, method="rank")
        values = of_each(r_hat, screened.good)
        if not values:
            reason = "undefined: every coordinate is constant within every chain"
            return Finding({"r_hat_max": refused(reason), "mixing": refused(reason)})
        worst = max(values, key=lambda name: values[name])
        value = values[worst]
        estimates = {
            "r_hat_max": self._r_hat(value, worst, screened.remarks),
            "mixing": self._mixing(value, worst, screened.remarks),
        }
        picture, (axes,) = figure.new()
        figure.spread(axes, values, "rank-normalised R̂")
        axes.axvline(self.mixed, color=figure.GREEN, linestyle="--", label=f"mixed: {self.mixed:g}")
        if value > self.mixed:
            axes.axvline(self.apart, color=figure.RED, linestyle=":", label=f"not mixed: {self.apart:g}")
        axes.legend()
        caption = (
            f"R̂ of each coordinate and the energy; largest {value:.4f} ({worst}). Good: all left of the green line. "
            "R̂ cannot see a mode that no chain has visited."
        )
        return Finding(estimates, picture, caption)

    def _r_hat(self, value: float, worst: str, remarks: list[str]) -> Estimate:
        doubts = list(remarks)
        if value > self.mixed:
            doubts.append(f"chains disagree about {worst}: raise burn_in and steps")
        return Estimate(value).doubted(doubts)

    def _mixing(self, value: float, worst: str, remarks: list[str]) -> Estimate:
        """1 for mixed chains; refused, so without a value, for chains that are not."""
        if value > self.apart:
            return refused(
                "; ".join(
                    [
                        *remarks,
                        f"not mixed: R̂ = {value:.3f} of {worst} is above {self.apart:g}; raise burn_in and steps",
                    ]
                )
            )
        if value > self.mixed:
            return Estimate(1.0).doubted([*remarks, f"can't tell: R̂ = {value:.3f} of {worst} is above {self.mixed:g}"])
        return Estimate(1.0).doubted(remarks)
