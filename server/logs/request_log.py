"""Writes a log line for each request that has ended. Does not know the line's fields."""

import logging
from collections.abc import Callable

from server.account.account import PROBE_ENDPOINTS, RequestAccount
from server.logs.log import REQUEST_LOGGER, log_fields
from server.logs.request_line import build_request_fields


class RequestLog:
    """Observer of accounts. `model_name` is called for each line, since models load late."""

    def __init__(self, model_name: Callable[[], str | None]) -> None:
        self._model_name = model_name
        self._logger = logging.getLogger(REQUEST_LOGGER)

    def __call__(self, account: RequestAccount) -> None:
        """Log the request of `account`, except for probes with their expected result."""
        if not self._logger.handlers:
            return
        if account.endpoint in PROBE_ENDPOINTS and account.status in (200, 503):
            return
        model_name = account.model_name or self._model_name()
        log_fields(self._logger, "request", build_request_fields(account, model_name))
