"""``python -m server``: the same as ``thinking-server``."""

from server.cli import main

if __name__ == "__main__":
    main()
