"""`python -m ebm_cli`, the same as `ebm`."""

import sys

from ebm_cli.cli import main

sys.exit(main())
