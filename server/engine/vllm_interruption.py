"""Interrupts requests in vLLM and keeps what they have written.

vLLM's abort by a request's own id ends its outputs with one that has all tokens that were waiting
in this process. Hidden tokens that still wait in the engine's process are lost: nobody has seen or
counted them. Knows nothing of what continues such a request.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.output_processor import OutputProcessor, RequestState


class Interruptions:
    """The requests of one engine that are being read, and those that were interrupted."""

    def __init__(self, llm: AsyncLLM) -> None:
        self._llm = llm
        self._read: set[str] = set()
        self._written: dict[str, Sequence[int]] = {}
        # Requests that were interrupted before vLLM knew them.
        self.too_early: set[str] = set()

    @contextmanager
    def watch(self, request_id: str) -> Iterator[None]:
        """Let a request be interrupted while its outputs are read."""
        self._read.add(request_id)
        try:
            yield
        finally:
            self._read.discard(request_id)
            self._written.pop(request_id, None)
            self.too_early.discard(request_id)

    async def interrupt(self, request_id: str) -> None:
        """See :meth:`server.engine.protocol.Engine.interrupt`."""
        if request_id not in self._read or request_id in self._written:
            return
        state = _find_state(self._llm.output_processor, request_id)
        if state is None:
            self.too_early.add(request_id)
            return
        assert state.detokenizer is not None  # of every request that generates
        self._written[request_id] = tuple(state.detokenizer.output_token_ids)
        await self._llm.abort(request_id)

    def get_written(self, request_id: str) -> Sequence[int] | None:
        """Return all tokens of a request that was interrupted; None: it was not."""
        return self._written.get(request_id)


def _find_state(processor: OutputProcessor, request_id: str) -> RequestState | None:
    # Without inserting an entry: it is a defaultdict.
    for internal_id in processor.external_req_ids.get(request_id, ()):
        return processor.request_states.get(internal_id)
    return None
