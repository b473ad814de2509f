"""A request on its way through engines: what it has written, and how it goes on in the next one.

Sends nothing itself.
"""

from collections.abc import Sequence
from dataclasses import replace

from server.engine.continuation import Continuation
from server.engine.protocol import EngineOutput, EngineRequest
from server.engine.remote.errors import (
    EngineFailedError,
    EngineLostError,
    EngineRefusedError,
    LossCause,
)
from server.errors.internal import EngineRequestError, TooManyMigrationsError

# Engines that a request does not reach before it counts them as lost. Each is out until it answers.
MAX_UNREACHED = 32


class Journey:
    """A request, from its first engine to its end.

    Invariant: the tokens that `request` writes come right after `written`, which has all tokens
    that have been handed over.
    """

    def __init__(self, request: EngineRequest, max_migrations: int) -> None:
        self.request = request  # as it is sent to the present engine
        self.written: list[int] = []
        self._first = request
        self._max_migrations = max_migrations
        self._num_lost = 0
        self._num_unreached = 0
        self._num_untold = 0  # migrations that no output has told of yet
        self._failed_at: int | None = None

    def take(self, output: EngineOutput) -> EngineOutput:
        """Note what an engine has written; return it as an output of the whole request."""
        self.written += output.token_ids
        told, self._num_untold = self._num_untold, 0
        cached = output.num_cached_tokens
        if cached is not None:
            cached = max(0, min(cached, len(self._first.prompt_token_ids)))
        return replace(output, num_cached_tokens=cached, num_migrations=told)

    def lose(self, error: EngineLostError) -> None:
        """Note that the present engine is lost; `request` is then the one for the next.

        An engine that says itself that it failed, and the next one at the same token: the cause is
        the request. An engine that could not be reached has lost nothing.

        Raises:
            TooManyMigrationsError: the request may not migrate again.
            EngineLostError: `error`, if the request is to blame.
            EngineRequestError: so it is, and the engines have rejected it.
        """
        if error.cause is LossCause.UNREACHABLE and self._num_unreached < MAX_UNREACHED:
            self._num_unreached += 1
            return
        failed_at = len(self.written) if isinstance(error, EngineFailedError) else None
        is_to_blame = failed_at is not None and failed_at == self._failed_at
        if isinstance(error, EngineRefusedError) and (is_to_blame or not self._max_migrations):
            raise EngineRequestError(str(error)) from error
        if is_to_blame:
            raise error
        self._failed_at = failed_at
        self._num_lost += 1
        if self._num_lost > self._max_migrations:
            raise TooManyMigrationsError(self._num_lost) from error
        self._num_untold += 1
        request_id = f"{self._first.request_id}~{self._num_lost}"
        if self.written:
            self.request = Continuation(self._first, self.written).to_request(request_id)
        else:
            self.request = replace(self._first, request_id=request_id)

    def find_end(self, stop_token_ids: Sequence[int]) -> EngineOutput | None:
        """Return the last output of a request that was lost after its last token; None: it goes on.

        `stop_token_ids` are the model's own.
        """
        sampling = self._first.sampling
        num_written = len(self.written)
        if num_written >= sampling.max_tokens:
            return self.take(EngineOutput((), finish_reason="length"))
        if not num_written or num_written < sampling.min_tokens:
            return None
        ends = set(self._first.stop_token_ids)
        if not sampling.ignore_eos:
            ends.update(stop_token_ids)
        if self.written[-1] in ends:
            return self.take(EngineOutput((), finish_reason="stop"))
        return None
