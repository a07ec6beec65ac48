"""The type checker that jaxtyping's hook runs on every annotated function while tests run."""

from beartype import BeartypeConf, beartype

# An int stands for a float, as in PEP 484 and as users write them.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
