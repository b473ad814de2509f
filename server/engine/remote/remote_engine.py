"""Implementation of the engine protocol with engines elsewhere: stock vLLM with our sampler.

Speaks to ``vllm serve MODEL --tokens-only`` with the ``thinking`` package in its environment
(:mod:`thinking.vllm_plugin.stock`), at one URL or several. A request whose engine is lost goes on
in another. Knows nothing of the HTTP that clients speak.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any

from aiohttp import ClientSession
from vllm.engine.arg_utils import AsyncEngineArgs

from server.callers.context import cache_owner
from server.engine.protocol import (
    EngineLoad,
    EngineOutput,
    EnginePrompt,
    EngineRequest,
)
from server.engine.remote.body import read_body
from server.engine.remote.errors import EngineLostError
from server.engine.remote.fleet import Fleet
from server.engine.remote.journey import Journey
from server.engine.remote.probe import Probe
from server.engine.remote.reading import Reading
from server.engine.remote.session import open_session
from server.engine.remote.stream import read_stream
from server.engine.remote.upstream import Upstream
from server.engine.remote.wire import (
    GENERATE_PATH,
    decode_frame,
    decode_whole,
    encode_request,
)
from server.engine.start_errors import EngineConfigError
from server.engine.vllm_messages import to_sampling_params
from server.engine.vllm_model import VllmModel
from server.errors.internal import EngineRequestError, GivenUpError
from server.settings.settings import ServerSettings
from thinking.vllm_plugin.identity import identify

# Of an engine whose own limit nobody has told; vLLM's default on most machines.
SEQUENCES_PER_ENGINE = 256
MAX_ANSWER_BYTES = 2**28  # of a prompt's log-probabilities: 20 of each of 200,000 tokens


class RemoteEngine(VllmModel):
    """An :class:`~server.engine.protocol.Engine`. Created by :meth:`start` only."""

    def __init__(
        self, options: Mapping[str, Any], settings: ServerSettings, model_name: str
    ) -> None:
        try:
            args = AsyncEngineArgs(**options)
            config = args.create_model_config()
        except (ValueError, TypeError, NotImplementedError, OSError) as error:
            raise EngineConfigError(f"the model cannot be read: {error}") from error
        outputs = args.structured_outputs_config
        outputs.disable_any_whitespace = True  # as the plugin has it
        super().__init__(config, outputs, settings, model_name)
        self._max_model_len = int(config.max_model_len)
        self._settings = settings
        identity = identify(config, self.tokenizer, self.profile)
        self._probe = Probe(
            self.profile, self.tokenizer, self.vocab_size, identity, self._max_model_len
        )
        self._readings: dict[str, Reading] = {}
        self._has_given_up = False
        self._closed = asyncio.Event()
        self._session: ClientSession
        self._fleet: Fleet

    @classmethod
    async def start(
        cls,
        urls: Sequence[str],
        options: Mapping[str, Any],
        settings: ServerSettings,
        model_name: str,
    ) -> "RemoteEngine":
        """Read the model and begin to look for its engines, of which none need be there yet.

        Does not block the event loop.

        Raises:
            EngineConfigError: the model or the certificates cannot be used.
        """
        engine = await asyncio.to_thread(cls, options, settings, model_name)
        engine._session = open_session(settings)
        upstreams = [Upstream(url.rstrip("/"), engine._session) for url in urls]
        engine._fleet = Fleet(upstreams, engine._probe)
        engine._fleet.start()
        return engine

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
    def not_ready_reason(self) -> str | None:
        return self._fleet.not_ready_reason

    @property
    def num_running(self) -> int:
        return len(self._readings)

    @property
    def max_num_seqs(self) -> int:
        return SEQUENCES_PER_ENGINE * max(1, self._fleet.num_ready)

    @property
    def load(self) -> EngineLoad:
        return EngineLoad(num_running=self.num_running, fleet=self._fleet.counts)

    async def generate(self, request: EngineRequest) -> AsyncGenerator[EngineOutput, None]:
        """See :meth:`server.engine.protocol.Engine.generate`.

        Raises:
            NoEngineError: no engine was ready in time.
            TooManyMigrationsError: the request's engines were lost too often.
        """
        if self._has_given_up:
            raise GivenUpError("given up")
        reading = self._readings[request.request_id] = Reading()
        journey = Journey(request, self._settings.max_migrations)
        lost: Upstream | None = None
        try:
            while True:
                try:
                    async with reading.waiting():
                        seconds = self._settings.engine_wait_seconds
                        upstream = await self._fleet.wait_ready(seconds, lost)
                    reading_one = self._read(upstream, journey.request, reading)
                    async with aclosing(reading_one) as outputs:
                        async for output in outputs:
                            taken = journey.take(output)
                            yield taken
                            if taken.finish_reason is not None:
                                return
                except EngineLostError as error:
                    reading.raise_end(journey)
                    self._fleet.note_lost(upstream, error)
                    end = journey.find_end(self.profile.stop_token_ids)
                    if end is not None:
                        yield end
                        return
                    journey.lose(error)
                    lost = upstream
        finally:
            del self._readings[request.request_id]

    async def _read(
        self, upstream: Upstream, request: EngineRequest, reading: Reading
    ) -> AsyncGenerator[EngineOutput, None]:
        """Yield the outputs of a request that is sent to one engine."""
        streams = request.num_prompt_logprobs is None
        body = encode_request(
            request, to_sampling_params(request), cache_owner.get(), streams=streams
        )
        async with AsyncExitStack() as stack:
            async with reading.waiting():
                response = await stack.enter_async_context(upstream.post(GENERATE_PATH, body))
            reading.attach(response)
            if not streams:
                answer = decode_frame(await read_body(response, MAX_ANSWER_BYTES))
                yield decode_whole(answer, request, self.vocab_size)
                return
            stops = self.profile.stop_token_ids
            async with aclosing(read_stream(response, request, self.vocab_size, stops)) as outputs:
                async for output in outputs:
                    yield output
        raise EngineLostError("the engine hung up")

    async def interrupt(self, request_id: str) -> None:
        """See :meth:`server.engine.protocol.Engine.interrupt`."""
        reading = self._readings.get(request_id)
        if reading is not None:
            reading.end(is_interrupted=True)

    def take_unread(self, request_id: str) -> Sequence[int]:
        """See :meth:`server.engine.protocol.Engine.take_unread`."""
        return ()

    def give_up(self) -> None:
        """See :meth:`server.engine.protocol.Engine.give_up`."""
        self._has_given_up = True
        for reading in tuple(self._readings.values()):
            reading.end(is_interrupted=False)

    async def with_images(self, token_ids: Sequence[int], images: Sequence[bytes]) -> EnginePrompt:
        """See :meth:`server.engine.protocol.Engine.with_images`."""
        raise EngineRequestError("images need an engine in the server's own process")

    async def wait_dead(self) -> None:
        """Wait until the engine was closed: one that cannot be reached may come back."""
        await self._closed.wait()

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        self._closed.set()
        await self._fleet.close()
        await self._session.close()
        self.close_model()
