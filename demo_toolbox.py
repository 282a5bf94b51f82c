"""Open the toolbox's window: ``python demo_toolbox.py --help``."""

import sys

from toolbox.window import main

if __name__ == "__main__":
    sys.exit(main())
