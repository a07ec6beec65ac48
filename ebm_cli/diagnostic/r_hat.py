"""R̂: agreement between chains."""

from ebm_cli import check
from ebm_cli.chain.screening import join_chain_names
from ebm_cli.diagnostic import ChainContext
from ebm_cli.estimate import Estimate, Picture, Result, all_refused

NAME, NESTED = "r_hat_max", "r_hat_nested"
# The bounds of the mixing verdict, and the defaults of this diagnostic.
CAUTION_ABOVE, FAIL_ABOVE = 1.01, 1.1


class RHat:
    """R̂ = √(var⁺/W), the maximum over coordinates and energy: rank-normalized, split and folded.

    Vehtari et al., 2021 (Bayesian Analysis 16, 667), section 4, by ArviZ's function. var⁺ pools the variance within
    and between half-chains, and W is the variance within. R̂ is 1 if all half-chains have one distribution. Refused if
    a chain never moved, because R̂ is then undefined. R̂ cannot detect a mode that no chain has visited; the mixing
    verdict uses more evidence.

    From 32 chains on that share at least four initial states, r_hat_nested is nested R̂ = √(1 + B/W) (Margossian et
    al., 2024, arXiv 2110.13017) of the quantity that is highest relative to its bound. B is the variance between
    superchains of M chains with one initial state, W that within. R̂ is large if chains are short; nested R̂ is large
    only if superchains depend on their initial states. Its bound is √(1 + max(1.01² − 1, q·v/M)), see `nested_bound`.

    caution_above: R̂ above which there is a caution (> 1, usually 1.01).
    fail_above: R̂ of the second line in the picture (> caution_above, usually 1.1).
    """

    def __init__(self, caution_above: float, fail_above: float) -> None:
        check.positive("caution_above", caution_above)
        if caution_above <= 1:
            raise check.InputError(f"caution_above must be > 1, got {caution_above}")
        check.positive("fail_above", fail_above)
        if fail_above <= caution_above:
            raise check.InputError(f"fail_above must be > caution_above ({caution_above}), got {fail_above}")
        self.caution_above = caution_above
        self.fail_above = fail_above

    def __call__(self, context: ChainContext) -> Result:
        screened = context.screened
        if screened.stuck:
            stuck = join_chain_names(screened.stuck)
            return all_refused({NAME: None}, f"undefined: {stuck} never moved. Type {context.smaller_step()}")
        if screened.usable is None:
            return all_refused({NAME: None}, screened.error)
        values = context.r_hat()
        if not values:
            return all_refused({NAME: None}, "undefined: every coordinate is constant within every chain")
        worst = max(values, key=lambda name: values[name])
        reasons = list(screened.warnings)
        if values[worst] > self.caution_above:
            longer = screened.usable.longer((values[worst] ** 2 - 1) / (self.caution_above**2 - 1))
            reasons.append(f"R̂ of {worst} is above {self.caution_above:g}. Type {longer}")
        estimate = Estimate(values[worst], meaning=self._meaning(values[worst]), if_not_mixed="caution")
        arrays = (values, worst, self.caution_above, self.fail_above)
        return Result({NAME: estimate.with_caution(reasons)} | nested_row(context), arrays, picture)

    def _meaning(self, value: float) -> str:
        how = "agree" if value <= self.caution_above else "do not yet agree" if value <= self.fail_above else "disagree"
        return f"chains {how} with each other (1 is perfect, up to {self.caution_above:g} is good)"


def nested_row(context: ChainContext) -> dict[str, Estimate]:
    """Return nested R̂ of the quantity that is highest relative to its bound; empty without superchains."""
    nested = context.nested_r_hat
    if nested is None:
        return {}
    value, bound = nested.values[nested.worst], nested.bounds[nested.worst]
    how = f"agree (up to {bound:.3f} is good)" if nested.agree else f"differ by chance at most (up to {bound:.3f})"
    if value > bound:
        how = f"do not agree (up to {bound:.3f} is good)"
    meaning = f"{nested.count} groups of {nested.size} chains, each from one initial state, {how}"
    reasons = list(context.screened.warnings)
    if value > bound:
        depends = "chains depend on where they started"
        reasons.append(f"nested R̂ of {nested.worst} is above {bound:.3f}: {depends}. Increase burn_in")
    return {NESTED: Estimate(value, meaning=meaning, if_not_mixed="caution").with_caution(reasons)}


def picture(result: Result) -> Picture:
    """Draw R̂ of each quantity."""
    from ebm_cli import figure

    values, worst, caution_above, fail_above = result.arrays
    drawn, (axes,) = figure.new()
    figure.plot_values(axes, values, "rank-normalized R̂")
    axes.axvline(caution_above, color=figure.GREEN, linestyle="--", label=f"mixed: {caution_above:g}")
    if values[worst] > caution_above:
        axes.axvline(fail_above, color=figure.RED, linestyle=":", label=f"not mixed: {fail_above:g}")
    axes.legend()
    return drawn, (
        f"R̂ of each coordinate and the energy. The largest is {values[worst]:.4f} ({worst}). Look for values to the "
        "left of the green line. R̂ cannot detect a mode that no chain has visited."
    )
