"""The numbers of a training run in metrics.json."""

import torch

from ebm_cli.assembly.components import Parts
from ebm_cli.estimate import Estimate, refused
from ebm_cli.run.folder import Run
from ebm_cli.run.history import last_tenth
from ebm_cli.run.shipped import option_name
from ebm_cli.training.divergence import NO_CHAINS, DivergenceWarnings


def summary(run: Run, steps: int, rate: float | None, parts: Parts) -> dict[str, Estimate]:
    """Return the numbers of a training run: means over the last tenth of the logged steps, with their errors.

    Loss and energies get the verdict of `DivergenceWarnings`.

    rate: steps per second; None to take the rate of the last logged step.
    """
    assert parts.data is not None
    history = [row for row in run.history() if "loss" in row]
    verdict, reasons = DivergenceWarnings(parts.data).verdict(history, parts.sampler.temperature, parts.has_chains)
    replaced = run.config().get("replaced")
    if verdict == "refused" and replaced is not None and reasons != [NO_CHAINS]:
        own = option_name(replaced["sampler"].get("_target_"))
        reasons.append(f"the recipe was made for sampler={own}. Do not name another sampler")
    if rate is None:
        rate = float(history[-1]["steps_per_second"]) if history else 0.0
    tail = last_tenth(history)
    rows = {"steps": Estimate(float(steps))}
    for name, unit in (("loss", None), ("e_data", "energy"), ("e_model", "energy")):
        values = torch.tensor([row[name] for row in tail if name in row], dtype=torch.float64)
        if len(values):
            se = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
            mean = Estimate(float(values.mean()), se=se, unit=unit)
            rows[name] = refused(reasons, unit) if verdict == "refused" else mean.with_caution(reasons)
    rows["steps_per_second"] = Estimate(rate, unit="1/s")
    # Each step takes the gradients of the chains and one gradient of the loss.
    gradients = [row.get("chain_gradients", 0.0) + 1 for row in tail]
    rows["gradients_per_second"] = Estimate(rate * sum(gradients) / len(gradients), unit="1/s")
    return rows
