"""Energy-based models: train, sample, evaluate and diagnose them from one command line, or from Python."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ebm_cli.assembly.trained_run import load_run as load_run

__version__ = "0.1.0"
__all__ = ["__version__", "load_run"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `ebm --help` and shell completion never wait for torch.
    if name == "load_run":
        from ebm_cli.assembly.trained_run import load_run

        return load_run
    raise AttributeError(f"module 'ebm_cli' has no attribute {name!r}")
