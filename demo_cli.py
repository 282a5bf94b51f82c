"""Clone a voice without a window: ``python demo_cli.py --help``."""

import sys

from toolbox.cli import main

if __name__ == "__main__":
    sys.exit(main())
