"""``python -m server.keys``."""

import sys

from server.keys.command import main

if __name__ == "__main__":
    sys.exit(main())
