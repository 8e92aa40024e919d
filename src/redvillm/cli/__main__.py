"""`python -m redvillm.cli`, the same as the command `redvillm`."""

import sys

from redvillm.cli import main

if __name__ == "__main__":
    sys.exit(main())
