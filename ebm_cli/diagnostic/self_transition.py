"""Self-transition probability: how often a chain stays where it is."""

import numpy as np

from ebm_cli import figure
from ebm_cli.chain.screening import LEAST_DRAWS, listed
from ebm_cli.diagnostic import Patient
from ebm_cli.estimate import Estimate, refused
from ebm_cli.figure.finding import Finding

HIGH = 0.9


class SelfTransition:
    """P(x_{t+1} = x_t) = Σᵢ πᵢ P_ii over kernel steps t.

    For kernels with one test in each step, the mean of 1 − acceptance over all steps, however far apart the draws are.
    For others, and without an acceptance, the fraction of consecutive draws that are equal, which is refused if draws
    are several steps apart. 0 for unadjusted kernels on a continuous space. The standard error is that of the mean over
    chains. Caution above 0.9.
    """

    def __call__(self, patient: Patient) -> Finding:
        screened = patient.screened()
        chains = patient.chains
        draws = chains.x.shape[1]
        if draws < LEAST_DRAWS:
            return Finding({"self_transition": refused(screened.fatal)})
        flat = chains.flat()
        names = chains.names or list(range(len(flat)))
        finite = np.isfinite(flat).all((1, 2))
        if chains.potential is not None:
            finite &= np.isfinite(chains.potential).all(1)
        equal = (flat[:, 1:] == flat[:, :-1]).all(2).mean(1)
        stays = equal
        known = chains.test_per_step or getattr(patient.sampler, "test_per_step", False) is True
        if known and chains.acceptance is not None:
            stays = 1 - chains.acceptance.mean(1)
        elif chains.thin > 1:
            what = "no acceptance rate" if chains.acceptance is None else "no kernel with one test in each step"
            reason = (
                f"draws are {chains.thin} kernel steps apart, and these chains have {what}: stays between draws are "
                "not known; thin=1 counts them"
            )
            return Finding({"self_transition": refused(reason)})
        sound = finite & (equal < 1) & np.isfinite(stays)
        kept = stays[sound]
        if len(kept) < 2:
            stuck = [names[i] for i in np.flatnonzero(finite & (equal == 1))]
            reason = f"{listed(stuck)} never moved; {patient.smaller_step()}" if stuck else screened.fatal
            return Finding({"self_transition": refused(reason or "fewer than 2 sound chains")})
        value, se = float(kept.mean()), float(kept.std(ddof=1) / len(kept) ** 0.5)
        doubts = list(screened.remarks)
        if value > HIGH:
            doubts.append(f"chains stay in place more than {HIGH:.0%} of the time: {patient.smaller_step()}")
        meaning = f"a chain stays where it is in {100 * value:.1f} % of its kernel steps"
        estimate = Estimate(value, se=se, meaning=meaning, if_not_mixed="caution").with_caution(doubts)
        if not stays[finite].any():
            # There is nothing to draw of chains that always move.
            return Finding({"self_transition": estimate})
        picture, (axes,) = figure.new(height=3.0)
        axes.bar(range(len(stays)), np.where(finite, stays, 0), color=figure.BLUE, width=1.0)
        axes.set(xlabel="chain", ylabel="fraction of kernel steps that stay", ylim=(0, 1))
        caption = (
            f"Fraction of kernel steps in which each chain stays, mean {value:.4f} ± {se:.4f}. "
            "Good: alike for all chains and well below 1."
        )
        return Finding({"self_transition": estimate}, picture, caption)
