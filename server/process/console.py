"""Status messages for the operator. They never contain text of a request."""

import logging
import sys

SERVER_LOGGER = "thinking_server"
_ERROR = "error: "


def print_status(line: str) -> None:
    """Write `line` to standard error, or to the server's log once that is open."""
    logger = logging.getLogger(SERVER_LOGGER)
    if logger.handlers:
        logger.log(logging.ERROR if line.startswith(_ERROR) else logging.INFO, "%s", line)
        return
    sys.stderr.write(f"thinking-server: {line}\n")
    sys.stderr.flush()
