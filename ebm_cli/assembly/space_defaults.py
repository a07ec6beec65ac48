"""Options that take the place of defaults which do not work on the states of the energy."""

from dataclasses import dataclass

from ebm_cli.assembly.build import locate
from ebm_cli.assembly.permission import Config
from ebm_cli.assembly.spaces import misfit
from ebm_cli.energy import DISCRETE, space_of, works_on
from ebm_cli.energy._capabilities import Conditionals, HiddenUnits, offers
from ebm_cli.run import shipped
from ebm_cli.sampler.tempering import Tempering

GIBBS = "ebm_cli.sampler.gibbs.Gibbs"
GIBBS_WITH_GRADIENTS = "ebm_cli.sampler.gibbs_with_gradients.GibbsWithGradients"


def typed_keys(config: Config) -> set[str]:
    """Return the keys that the line sets; none if a run's record of them is damaged."""
    made = config.get("made")
    chosen = made.get("chosen") if isinstance(made, dict) else None
    return {str(key) for key in chosen} if isinstance(chosen, list) else set()


def is_typed(group: str, chosen: set[str]) -> bool:
    """Return True if the line chooses an option of this group, or sets a key that other options may not have."""
    return any(key.partition(".")[0] == group and key != f"{group}.temperature" for key in chosen)


def moving_part(node: Config) -> type:
    """Return the class that moves states: that of a node, or of the kernel of replica exchange."""
    part, kernel = locate(node.get("_target_")), node.get("kernel")
    return locate(kernel.get("_target_")) if part is Tempering and isinstance(kernel, dict) else part


def sampler_for(energy: object, default: Config) -> Config | None:
    """Return the node of a sampler that works on the energy's states, at the default's temperature; None if none does.

    Gibbs if the energy gives the distribution of its sites or of hidden units, otherwise Gibbs with gradients.
    """
    if space_of(energy) not in DISCRETE:
        return None
    known = offers(energy, Conditionals) or offers(energy, HiddenUnits)
    target = GIBBS if known else GIBBS_WITH_GRADIENTS
    return shipped.defaults(target) | {"temperature": default.get("temperature", 1.0)}


@dataclass(frozen=True)
class Fitted:
    """What takes the place of a default. node: None to leave it out. note: says so."""

    node: Config | None
    note: str


def fitted(name: str, node: Config, energy: object, own: str, chosen: set[str]) -> Fitted | None:
    """Return what takes the place of a sampler or a regularizer; None if it works here, or if the line chose it.

    A typed sampler or path keeps replica exchange, of which only the kernel may be open.

    name: sampler, or regularizer.NAME. own: the name of the energy. chosen: keys on the line. Raises InputError for a
    class that cannot be imported.
    """
    group, part, space = name.partition(".")[0], moving_part(node), space_of(energy)
    if works_on(part, space):
        return None
    if group == "sampler" and (is_typed(group, chosen) or is_typed("path", chosen)):
        return with_fitting_kernel(node, energy, chosen)
    if is_typed(group, chosen):
        return None
    reason = misfit(group, shipped.option_or_class(node), part, space, own)
    if group == "regularizer":
        return Fitted(None, f"left out: {reason}")
    found = sampler_for(energy, node)
    return None if found is None else Fitted(found, f"sampler: {shipped.option_or_class(found)}, because {reason}")


def with_fitting_kernel(node: Config, energy: object, chosen: set[str]) -> Fitted | None:
    """Return replica exchange with a kernel that works on the states; None for other samplers and a typed kernel."""
    is_open = not any(key.startswith("sampler.kernel") for key in chosen)
    kernel = sampler_for(energy, {})
    if not is_open or kernel is None or locate(node.get("_target_")) is not Tempering:
        return None
    return Fitted(node | {"kernel": kernel}, f"sampler.kernel: {shipped.option_or_class(kernel)} moves the replicas")
