"""Self-transition probability: how often a chain stays where it is."""

import numpy as np

from ebm_cli import figure
from ebm_cli.diagnostic import Patient
from ebm_cli.estimate import Estimate, refused
from ebm_cli.finding import Finding
from ebm_cli.screen import LEAST_DRAWS, listed

HIGH = 0.9


class SelfTransition:
    """P(x_{t+1} = x_t) = Σᵢ πᵢ P_ii, estimated by the share of consecutive draws that are equal.

    0 for unadjusted kernels on a continuous space, one minus the acceptance for adjusted ones. The standard
    error is that of
    the mean over chains. Caution above 0.9, and where draws are thinned, as it then counts stays of `thin` steps.
    """

    def __call__(self, patient: Patient) -> Finding:
        screened = patient.screened()
        draws = patient.chains.x.shape[1]
        if draws < LEAST_DRAWS:
            return Finding({"self_transition": refused(screened.fatal)})
        flat = patient.chains.flat()
        names = patient.chains.names or list(range(len(flat)))
        finite = np.isfinite(flat).all((1, 2))
        if patient.chains.potential is not None:
            finite &= np.isfinite(patient.chains.potential).all(1)
        stays = (flat[:, 1:] == flat[:, :-1]).all(2).mean(1)
        doubts = list(screened.remarks)
        kept = stays[finite & (stays < 1)]
        if len(kept) < 2:
            stuck = [names[i] for i in np.flatnonzero(finite & (stays == 1))]
            reason = f"{listed(stuck)} never moved; lower sampler.step_size" if stuck else screened.fatal
            return Finding({"self_transition": refused(reason or "fewer than 2 sound chains")})
        value, se = float(kept.mean()), float(kept.std(ddof=1) / len(kept) ** 0.5)
        if patient.chains.thin > 1 and value > 0:
            doubts.append(
                f"draws are {patient.chains.thin} steps apart, so single stays are missed: thin=1 counts them"
            )
        if value > HIGH:
            doubts.append(f"chains stay in place more than {HIGH:.0%} of the time: lower sampler.step_size")
        picture, (axes,) = figure.new(height=3.0)
        axes.bar(range(len(stays)), np.where(finite, stays, 0), color=figure.BLUE, width=1.0)
        axes.set(xlabel="chain", ylabel="share of draws equal to the one before", ylim=(0, 1))
        caption = (
            f"Share of stays of each chain, mean {value:.4f} ± {se:.4f}. Good: alike for all chains and well below 1."
        )
        return Finding({"self_transition": Estimate(value, se=se).doubted(doubts)}, picture, caption)
