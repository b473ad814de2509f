"""The few lines that the server writes for its operator. No request's text is among them."""

import sys


def say(line: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"thinking-server: {line}\n")
    sys.stderr.flush()
