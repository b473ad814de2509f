"""Writes a line for each request that has ended. Decides nothing of what is in it."""

import logging
from collections.abc import Callable

from server.account.account import PROBE_ENDPOINTS, RequestAccount
from server.logs.log import REQUEST_LOGGER, log_fields
from server.logs.request_line import request_fields


class RequestLog:
    """An observer of accounts; `model_name` is asked at each line, since models load late."""

    def __init__(self, model_name: Callable[[], str | None]) -> None:
        self._model_name = model_name
        self._logger = logging.getLogger(REQUEST_LOGGER)

    def __call__(self, account: RequestAccount) -> None:
        """Log `account`'s request, except for probes that tell what they are for."""
        if not self._logger.handlers:
            return
        if account.endpoint in PROBE_ENDPOINTS and account.status in (200, 503):
            return
        log_fields(self._logger, "request", request_fields(account, self._model_name()))
