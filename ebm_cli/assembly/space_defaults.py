"""Options that take the place of defaults which do not work on the states of the energy."""

from ebm_cli.assembly.build import locate
from ebm_cli.assembly.permission import Config
from ebm_cli.energy import DISCRETE, Conditionals, HiddenUnits, offers, space_of
from ebm_cli.run import shipped
from ebm_cli.sampler.tempering import Tempering

GIBBS = "ebm_cli.sampler.gibbs.Gibbs"
GIBBS_WITH_GRADIENTS = "ebm_cli.sampler.gibbs_with_gradients.GibbsWithGradients"


def is_typed(group: str, chosen: set[str]) -> bool:
    """Return True if the line chooses an option of this group, or sets a key that other options may not have."""
    return any(key.partition(".")[0] == group and key != f"{group}.temperature" for key in chosen)


def moving_part(node: Config) -> type:
    """Return the class that moves states: that of a node, or of the kernel of replica exchange."""
    part = locate(node.get("_target_"))
    return locate(node["kernel"]["_target_"]) if part is Tempering else part


def sampler_for(energy: object, default: Config) -> Config | None:
    """Return the node of a sampler that works on the energy's states, at the default's temperature; None if none does.

    Gibbs if the energy gives the distribution of its sites or of hidden units, otherwise Gibbs with gradients.
    """
    if space_of(energy) not in DISCRETE:
        return None
    known = offers(energy, Conditionals) or offers(energy, HiddenUnits)
    target = GIBBS if known else GIBBS_WITH_GRADIENTS
    return shipped.defaults(target) | {"temperature": default.get("temperature", 1.0)}
