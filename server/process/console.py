"""The few lines that the server writes for its operator. No request's text is among them."""

import logging
import sys

SERVER_LOGGER = "thinking_server"
_ERROR = "error: "


def say(line: str) -> None:
    """Write one line to standard error, in the log's form once that is open."""
    logger = logging.getLogger(SERVER_LOGGER)
    if logger.handlers:
        logger.log(logging.ERROR if line.startswith(_ERROR) else logging.INFO, "%s", line)
        return
    sys.stderr.write(f"thinking-server: {line}\n")
    sys.stderr.flush()
