"""`ebm`: the command line. Nothing here imports torch or Hydra until a verb runs."""

import signal
import sys

from ebm_cli.cli.help import answer
from ebm_cli.cli.keys import COMPLETE, VERBS

__all__ = ["VERBS", "main"]


def main(arguments: list[str] | None = None) -> int:
    """Run `ebm ARGUMENTS` and return the exit code: 0 done, 1 failed, 2 wrong input, 130 Ctrl-C, 143 SIGTERM."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = answer(arguments)
        if code is not None:
            return code
        from ebm_cli.cli.launch import launch

        return launch(arguments[0], arguments[1:])
    except KeyboardInterrupt:
        if arguments[:1] != [COMPLETE]:
            sys.stderr.write("interrupted\n")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Nothing reads the output any more, so no message can be shown.
        sys.stderr.close()
        return 1
