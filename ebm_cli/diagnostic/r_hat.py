"""R-hat: whether chains agree with each other."""

from ebm_cli import check, figure
from ebm_cli.chain.screening import listed
from ebm_cli.diagnostic import Patient, of_each, rank_r_hat
from ebm_cli.estimate import Estimate, refused
from ebm_cli.figure.finding import Finding


class RHat:
    """R̂ = √(var⁺/W), the largest over coordinates and energy: rank-normalised, split and folded.

    Vehtari et al., 2021 (Bayesian Analysis 16, 667), section 4, by ArviZ's function: var⁺ pools the variance
    within and between half-chains, W is that within; 1 when all agree. Undefined, hence refused, with a chain
    that never moved. R̂ cannot see a mode that no chain has visited; `mixing` looks at more.

    mixed: > 1, usually 1.01; above it R̂ is under caution. apart: > mixed, usually 1.1; drawn beside it.
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
        screened = patient.screened()
        if screened.stuck:
            reason = f"undefined: {listed(screened.stuck)} never moved; {patient.smaller_step()}"
            return Finding({"r_hat_max": refused(reason)})
        if screened.good is None:
            return Finding({"r_hat_max": refused(screened.fatal)})
        values = of_each(rank_r_hat, screened.good)
        if not values:
            reason = "undefined: every coordinate is constant within every chain"
            return Finding({"r_hat_max": refused(reason)})
        worst = max(values, key=lambda name: values[name])
        value = values[worst]
        doubts = list(screened.remarks)
        if value > self.mixed:
            times = (value**2 - 1) / (self.mixed**2 - 1)
            doubts.append(f"R̂ of {worst} is above {self.mixed:g}: {screened.good.longer(times)}")
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
        return Finding(
            {"r_hat_max": Estimate(value, meaning=self._meaning(value), if_not_mixed="caution").with_caution(doubts)},
            picture,
            caption,
        )

    def _meaning(self, value: float) -> str:
        if value <= self.mixed:
            return f"chains agree with each other (1 is perfect, up to {self.mixed:g} is good)"
        how = "do not yet agree" if value <= self.apart else "disagree"
        return f"chains {how} with each other (1 is perfect, up to {self.mixed:g} is good)"
