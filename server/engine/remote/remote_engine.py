"""Implementation of the engine protocol with an engine elsewhere: a stock vLLM with our sampler.

Speaks to ``vllm serve MODEL --tokens-only`` with the ``thinking`` package in its environment
(:mod:`thinking.vllm_plugin.stock`). Knows nothing of the HTTP that clients speak.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import httpx
from vllm.engine.arg_utils import AsyncEngineArgs

from server.callers.context import cache_owner
from server.engine.protocol import (
    EngineLoad,
    EngineOutput,
    EnginePrompt,
    EngineRequest,
    InterruptedRequestError,
)
from server.engine.remote.wire import GENERATE_PATH, decode_output, encode_request, read_frame
from server.engine.start_errors import EngineConfigError
from server.engine.vllm_messages import to_sampling_params
from server.engine.vllm_model import VllmModel
from server.errors.internal import (
    EngineDeadError,
    EngineError,
    EngineRequestError,
    GivenUpError,
)
from server.settings.settings import ServerSettings
from thinking.vllm_plugin.reasoning_gate import gate_arguments

CONNECT_SECONDS = 5.0
MAX_CONNECTIONS = 4096


class _Reading:
    """A request whose outputs are being read: what it has written, and how it is ended early."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.ended = asyncio.Event()
        self.was_interrupted = False


class RemoteEngine(VllmModel):
    """An :class:`~server.engine.protocol.Engine` at a URL."""

    def __init__(
        self, url: str, options: Mapping[str, Any], settings: ServerSettings, model_name: str
    ) -> None:
        try:
            args = AsyncEngineArgs(**options)
            config = args.create_model_config()
        except (ValueError, TypeError, NotImplementedError, OSError) as error:
            raise EngineConfigError(f"the model cannot be read: {error}") from error
        outputs = args.structured_outputs_config
        super().__init__(config, outputs, settings, model_name)
        self._max_model_len = int(config.max_model_len)
        self._url = url.rstrip("/")
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
        )
        self._reading: dict[str, _Reading] = {}
        self._has_given_up = False
        self._closed = asyncio.Event()

    @property
    def max_model_len(self) -> int:
        return self._max_model_len

    @property
    def max_images(self) -> int:
        return 0

    @property
    def is_alive(self) -> bool:
        return not self._closed.is_set()

    @property
    def num_running(self) -> int:
        return len(self._reading)

    @property
    def max_num_seqs(self) -> int:
        return MAX_CONNECTIONS

    @property
    def load(self) -> EngineLoad:
        return EngineLoad(num_running=self.num_running)

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineOutput, None]:
        """See :meth:`server.engine.protocol.Engine.generate`."""
        if self._has_given_up:
            raise GivenUpError("given up")
        gate = gate_arguments(self.profile, request.plan) if request.constraint else None
        body = encode_request(request, to_sampling_params(request), gate, cache_owner.get())
        reading = self._reading[request.request_id] = _Reading()
        try:
            async with self._client.stream(
                "POST", self._url + GENERATE_PATH, json=body
            ) as response:
                await _check_status(response)
                async for line in response.aiter_lines():
                    if reading.ended.is_set():
                        raise self._make_end(reading)
                    frame = read_frame(line)
                    output = frame and decode_output(frame, request, self.vocab_size)
                    if output is not None:
                        reading.written += output.token_ids
                        yield output
                        if output.finish_reason is not None:
                            return
            raise EngineDeadError("the engine hung up")
        except httpx.HTTPError as error:
            raise EngineDeadError(f"the engine cannot be reached: {error}") from error
        finally:
            del self._reading[request.request_id]

    def _make_end(self, reading: _Reading) -> Exception:
        if reading.was_interrupted:
            return InterruptedRequestError(EngineOutput(()), reading.written)
        return GivenUpError("given up")

    async def interrupt(self, request_id: str) -> None:
        """See :meth:`server.engine.protocol.Engine.interrupt`."""
        reading = self._reading.get(request_id)
        if reading is not None:
            reading.was_interrupted = True
            reading.ended.set()

    def take_unread(self, request_id: str) -> Sequence[int]:
        """See :meth:`server.engine.protocol.Engine.take_unread`."""
        return ()

    def give_up(self) -> None:
        """See :meth:`server.engine.protocol.Engine.give_up`."""
        self._has_given_up = True
        for reading in self._reading.values():
            reading.ended.set()

    async def with_images(self, token_ids: Sequence[int], images: Sequence[bytes]) -> EnginePrompt:
        """See :meth:`server.engine.protocol.Engine.with_images`."""
        raise EngineRequestError("images need an engine in the server's own process")

    async def wait_dead(self) -> None:
        """Wait until the engine was closed: one that cannot be reached may come back."""
        await self._closed.wait()

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        self._closed.set()
        self.close_model()
        await self._client.aclose()


async def _check_status(response: httpx.Response) -> None:
    if response.is_success:
        return
    if 400 <= response.status_code < 500:
        detail = (await response.aread()).decode(errors="replace")[:500]
        raise EngineRequestError(f"the engine refused the request: {detail}")
    raise EngineError(f"the engine answered with {response.status_code}")
