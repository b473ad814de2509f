"""Scripted engines behind vLLM's token-in-token-out API, on sockets, with faults to order.

The same sampler writes as in a real engine (:mod:`server.engine.scripted`). Many engines may share
a port, each at a path of its own. Knows nothing of the front end.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web
from vllm.entrypoints.scale_out.token_in_token_out.protocol import GenerateRequest

from server.engine.protocol import EngineOutput, EngineRequest
from server.engine.scripted import ScriptedEngine
from server.errors.internal import EngineRequestError
from tests.server.engine.remote.faults import Fault, FaultKind
from tests.server.engine.remote.inference_wire import (
    DONE,
    make_error,
    make_frame,
    make_usage,
    make_usage_frame,
    make_whole_answer,
    parse_body,
    to_engine_request,
    to_event,
)
from thinking.vllm_plugin.identity import IDENTITY_KEY

ENDLESS_PIECE = b" " * 2**20


class InferenceEngine:
    """An engine as clients see it. Faults are taken in order, one a request that is no probe."""

    def __init__(self, scripted: ScriptedEngine, identity: Mapping[str, str]) -> None:
        self.scripted = scripted
        self._own_identity = identity
        self.mend()
        self.answers = asyncio.Event()  # cleared: it accepts connections and says nothing
        self.answers.set()
        self.faults: deque[Fault] = deque()
        self.lies: dict[str, int] = {}  # of the usage
        self.tells_cached = True
        self.cut = 0  # number of bytes in which streams are sent; 0: an event at a time
        self.tokens_per_frame = 1
        self.released = asyncio.Event()  # ends silence
        self.reached = asyncio.Event()  # a fault has come
        self.num_faults = 0  # that have come
        self.requests: deque[GenerateRequest] = deque(maxlen=64)
        self.num_asked = 0  # for its models
        self.num_requests = 0
        self.num_probes = 0
        self.num_open = 0
        self.num_left = 0  # by their client
        self.client_ports: set[int] = set()  # of connections

    def mend(self) -> None:
        """Be the engine that front ends expect."""
        self.identity = dict(self._own_identity)
        self.max_model_len = self.scripted.max_model_len
        self.has_sampler = True
        self.key: str | None = None
        self.is_down = False  # closes every connection before it answers
        self.refusal: str | None = None  # of every request
        self.models: bytes | None = None  # the body of the list, if it is another one

    async def get_models(self, request: web.Request) -> web.StreamResponse:
        """``GET /v1/models``."""
        self.num_asked += 1
        await self.answers.wait()
        if (refused := self._refuse(request)) is not None:
            return refused
        if self.models is not None:
            return web.Response(body=self.models, content_type="application/json")
        card = {"id": "thinker", "object": "model", "max_model_len": self.max_model_len}
        return web.json_response({"object": "list", "data": [card]})

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """``POST /inference/v1/generate``."""
        await self.answers.wait()
        if (refused := self._refuse(request)) is not None:
            return refused
        if request.transport is not None:
            self.client_ports.add(request.transport.get_extra_info("peername")[1])
        try:
            parsed = parse_body(await request.read())
            wanted = to_engine_request(parsed, has_sampler=self.has_sampler)
            is_probe = self._check_identity(parsed)
        except ValueError as error:
            return web.json_response(make_error(str(error), 400), status=400)
        if is_probe:
            self.num_probes += 1
            return await self._answer_whole(parsed, wanted)
        self.requests.append(parsed)
        self.num_requests += 1
        self.num_open += 1
        try:
            return await self._answer(request, parsed, wanted)
        except (asyncio.CancelledError, ConnectionError):
            self.num_left += 1
            raise asyncio.CancelledError from None
        finally:
            self.num_open -= 1

    def _refuse(self, request: web.Request) -> web.StreamResponse | None:
        if self.is_down:
            _close(request, is_reset=True)
            return web.Response(status=503)  # nobody reads it
        if self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        if self.refusal is not None:
            return web.json_response(make_error(self.refusal, 400), status=400)
        return None

    def _check_identity(self, parsed: GenerateRequest) -> bool:
        """Return whether it is a probe. Raises ValueError if it expects another engine."""
        expected: Any = (parsed.sampling_params.extra_args or {}).get(IDENTITY_KEY)
        if self.has_sampler:
            for name in expected or ():
                if expected[name] != self.identity[name]:
                    raise ValueError(f"this engine has another {name}")
        return expected is not None

    async def _answer(
        self, request: web.Request, parsed: GenerateRequest, wanted: EngineRequest
    ) -> web.StreamResponse:
        fault = self.faults.popleft() if self.faults else None
        if fault is not None and fault.is_before_headers:
            self.note_fault()
            if fault.kind is FaultKind.NO_HEADERS:
                _close(request)
            if fault.kind is FaultKind.STATUS:
                body = make_error(fault.message, fault.status)
                return web.json_response(body, status=fault.status)
            await self.released.wait()
        if not parsed.stream:
            return await self._answer_whole(parsed, wanted)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        reply = _Reply(self, request, response, parsed)
        await reply.write(wanted, fault)
        return response

    async def _answer_whole(
        self, parsed: GenerateRequest, wanted: EngineRequest
    ) -> web.StreamResponse:
        try:
            outputs = [output async for output in self.scripted.generate(wanted)]
        except EngineRequestError as error:
            return web.json_response(make_error(str(error), 400), status=400)
        usage = make_usage(
            len(parsed.token_ids), len(outputs), self.count_cached(outputs[0]), self.lies
        )
        body = make_whole_answer(parsed, outputs, usage)
        return web.Response(body=body, content_type="application/json")

    def note_fault(self) -> None:
        """Note that a fault comes now."""
        self.num_faults += 1
        self.reached.set()

    def count_cached(self, first: EngineOutput) -> int | None:
        """Return what the usage says of cached tokens."""
        return first.num_cached_tokens if self.tells_cached else None


class _Reply:
    """A stream that is being written."""

    def __init__(
        self,
        engine: InferenceEngine,
        request: web.Request,
        response: web.StreamResponse,
        parsed: GenerateRequest,
    ) -> None:
        self._engine, self._request, self._response = engine, request, response
        self._parsed = parsed
        self._num_written = 0
        self._waiting: list[EngineOutput] = []

    async def write(self, wanted: EngineRequest, fault: Fault | None) -> None:
        """Write all events, and carry out the fault where its turn comes."""
        cached, last = None, EngineOutput(())
        async for output in self._engine.scripted.generate(wanted):
            cached = output.num_cached_tokens if output.num_cached_tokens is not None else cached
            is_due = fault is not None and fault.kind not in _AT_THE_END
            if fault is not None and is_due and self._num_written == fault.after:
                await self._flush()
                if not await self._break(fault, output):
                    return
            last = output
            self._num_written += 1
            self._waiting.append(output)
            is_over = output.finish_reason is not None
            if is_over or len(self._waiting) == self._engine.tokens_per_frame:
                await self._flush()
        assert last.finish_reason is not None
        if fault is not None and fault.kind in _AT_THE_END:
            self._engine.note_fault()
            if fault.kind is FaultKind.NO_USAGE:
                _close(self._request)
                return
            await self._engine.released.wait()
        counts = len(self._parsed.token_ids), self._num_written
        told = cached if self._engine.tells_cached else None
        usage = make_usage(*counts, told, self._engine.lies)
        await self._send(make_usage_frame(self._parsed, usage))
        await self._send(DONE)

    async def _break(self, fault: Fault, output: EngineOutput) -> bool:
        """Do what the fault says before `output`; return whether the stream goes on."""
        self._engine.note_fault()
        match fault.kind:
            case FaultKind.HANG_UP | FaultKind.RESET:
                _close(self._request, is_reset=fault.kind is FaultKind.RESET)
                return False
            case FaultKind.SILENCE:
                await self._engine.released.wait()
                return True
            case FaultKind.ENDLESS_EVENT:
                await self._send(b"data: ")
                while True:  # until the client has had enough
                    await self._send(ENDLESS_PIECE)
            case FaultKind.NO_FINISH:
                return False
            case _:
                await self._send(self._make_wrong_event(fault, output))
                return True

    def _make_wrong_event(self, fault: Fault, output: EngineOutput) -> bytes:
        size = self._engine.scripted.vocab_size
        frame = make_frame(self._parsed, output)
        match fault.kind:
            case FaultKind.ABORT:
                return make_frame(self._parsed, EngineOutput(()), finish_reason="abort")
            case FaultKind.ERROR_FRAME:
                return to_event(make_error(fault.message, 500))
            case FaultKind.GARBAGE:
                return b'data: {"choices": [{"token_ids": "\xff\xfe"}]\n\n'
            case FaultKind.FOREIGN_ID:
                return make_frame(self._parsed, output, token_ids=[size])
            case FaultKind.TWO_CHOICES:
                return frame.replace(b'"choices": [{', b'"choices": [{}, {')
            case FaultKind.NO_LOGPROBS:
                return make_frame(self._parsed, output, logprobs=None)
            case FaultKind.OTHER_LOGPROBS:
                others = [(output.token_ids[0] + 1) % size]
                return make_frame(self._parsed, output, token_ids=others)
            case FaultKind.FOREIGN_LOGPROBS:
                return frame.replace(
                    b'"top_logprobs": [{"token_id": ', b'"top_logprobs": [{"token_id": 999'
                )
            case FaultKind.TOO_MANY_TOKENS:
                return make_frame(self._parsed, output, token_ids=[3] * size, finish_reason=None)
            case FaultKind.EARLY_STOP:
                return make_frame(self._parsed, EngineOutput((3,)), finish_reason="stop")
        raise AssertionError(fault)

    async def _flush(self) -> None:
        if not self._waiting:
            return
        logprobs = [place for output in self._waiting for place in output.logprobs or ()]
        output = EngineOutput(
            [token_id for output in self._waiting for token_id in output.token_ids],
            logprobs if self._waiting[0].logprobs is not None else None,
            self._waiting[-1].finish_reason,
        )
        self._waiting.clear()
        await self._send(make_frame(self._parsed, output))

    async def _send(self, event: bytes) -> None:
        size = self._engine.cut or len(event)
        for begin in range(0, len(event), size):
            await self._response.write(event[begin : begin + size])


_AT_THE_END = (FaultKind.NO_USAGE, FaultKind.SILENCE_AT_USAGE)


def _close(request: web.Request, *, is_reset: bool = False) -> None:
    transport = request.transport
    if transport is None:
        return
    if is_reset:
        transport.abort()
    else:
        transport.close()


class InferenceServer:
    """Engines at one port of the loopback; with several, each at a path of its own."""

    def __init__(self, *engines: InferenceEngine) -> None:
        self.engines: Sequence[InferenceEngine] = engines
        self._port = 0
        self._runner: web.AppRunner | None = None

    @property
    def urls(self) -> list[str]:
        """The engines' URLs, in order; once started."""
        base = f"http://127.0.0.1:{self._port}"
        if len(self.engines) == 1:
            return [base]
        return [f"{base}/{number}" for number in range(len(self.engines))]

    async def start(self) -> None:
        """Listen, at the port of the last time."""
        app = web.Application(client_max_size=2**26)
        for number, engine in enumerate(self.engines):
            path = f"/{number}" if len(self.engines) > 1 else ""
            app.router.add_get(f"{path}/v1/models", engine.get_models)
            app.router.add_post(f"{path}/inference/v1/generate", engine.generate)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, shutdown_timeout=0.01, access_log=None
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        address: Any = self._runner.addresses[0]
        self._port = address[1]

    async def stop(self) -> None:
        """End like a process: nobody listens, and all connections are closed."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
