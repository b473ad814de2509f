"""Front ends of the embedded model `thinker`, before scripted engines on loopback."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import pytest
import pytest_asyncio
import torch
from fastapi import FastAPI

from server.app import create_app
from server.engine.protocol import EngineOutput, EngineRequest, SamplingSettings
from server.engine.remote import fleet
from server.engine.remote.remote_engine import RemoteEngine
from server.engine.scripted import ScriptedEngine
from server.engine.scripted_model import LogitsSource, RandomLogits
from server.settings.settings import ServerSettings
from server.state import Services
from tests.house.sources import ROOT
from tests.server.conftest import make_services, split_events
from tests.server.engine.remote.faults import Fault
from tests.server.engine.remote.inference_server import InferenceEngine, InferenceServer
from thinking.plan import ThinkingPlan, ThinkingRules, make_plan

MODEL = "thinker"
OPTIONS = {"model": str(ROOT / "thinker" / "weights"), "served_model_name": [MODEL]}
PROMPT = (40, 41, 42)
MARKERS = ("thinking_start", "thinking_end")
SECONDS = 60  # for what should take none
FREE = {"loop_guard": False, "grace": 0}


@dataclass(slots=True)
class FrontEnd:
    """A remote engine, its engines, and the app over it."""

    engine: RemoteEngine
    servers: Sequence[InferenceServer]
    services: Services
    app: FastAPI
    http: httpx.AsyncClient

    @property
    def engines(self) -> list[InferenceEngine]:
        """The engines, in the order of their URLs."""
        return [engine for server in self.servers for engine in server.engines]

    @property
    def num_open(self) -> int:
        """Number of requests that the engines are writing."""
        return sum(engine.num_open for engine in self.engines)

    @property
    def num_requests(self) -> int:
        """Number of requests that the engines have had, without probes."""
        return sum(engine.num_requests for engine in self.engines)

    @property
    def num_faults(self) -> int:
        """Number of faults that have come."""
        return sum(engine.num_faults for engine in self.engines)

    def order(self, *faults: Fault) -> None:
        """Have the next requests go wrong, wherever they are sent; forget earlier orders."""
        shared = deque(faults)
        for engine in self.engines:
            engine.faults = shared

    async def chat(self, **fields: Any) -> httpx.Response:
        """Post a greedy chat body."""
        return await self.http.post("/v1/chat/completions", json=chat_body(**fields))

    async def stream(self, **fields: Any) -> list[str]:
        """Return the data of the events of a streamed chat."""
        response = await self.chat(stream=True, **fields)
        assert response.status_code == 200, response.text
        return [line.removeprefix("data: ") for line in split_events(response.text)]

    async def wait_ready(self) -> None:
        """Wait until every engine has passed the probe."""
        await until(lambda: all(one.is_ready for one in self.engine._fleet.upstreams))

    async def check_nothing_left(self) -> None:
        """Assert that no request is open anywhere, here or there."""
        await until(lambda: self.num_open == 0)
        assert self.engine.num_running == 0
        # A probe is one too.
        await until(lambda: not any(one.num_open for one in self.engine._fleet.upstreams))
        await until(lambda: all(engine.scripted.num_running == 0 for engine in self.engines))


async def until(is_so: Callable[[], bool]) -> None:
    """Run the event loop until something is so."""
    async with asyncio.timeout(SECONDS):
        while not is_so():  # noqa: ASYNC110 (nothing to wait on)
            await asyncio.sleep(0)


def chat_body(**fields: Any) -> dict[str, Any]:
    """Return a small valid body, greedy, with `fields`."""
    messages = [{"role": "user", "content": "How many?"}]
    return {"model": MODEL, "messages": messages, "temperature": 0, **fields}


class Recorded:
    """A random model that likes its stop token from some length on."""

    def __init__(self, vocab_size: int, stop_token_id: int, seed: int = 0) -> None:
        self.vocab_size = vocab_size
        self._random = RandomLogits(vocab_size, seed)
        self._stop_token_id = stop_token_id

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """See :class:`server.engine.scripted_model.LogitsSource`."""
        logits = self._random.compute_logits(prompt, output)
        if (len(prompt) + len(output)) % 61 == 0:
            logits = logits.clone()
            logits[self._stop_token_id] = 50.0
        return logits


@pytest.fixture(autouse=True)
def retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have engines that are not ready probed again after a moment."""
    monkeypatch.setattr(fleet, "FIRST_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(fleet, "LONGEST_RETRY_SECONDS", 0.1)


StartFrontEnd = Callable[..., Any]


@pytest_asyncio.fixture
async def start() -> AsyncIterator[StartFrontEnd]:
    """Starts front ends: ``await start(number of engines, settings options …)``.

    All engines are ready, unless `prepare` has changed them before they listen.
    """
    made: list[FrontEnd] = []

    async def make(
        num_engines: int = 1,
        source: LogitsSource | None = None,
        prepare: Callable[[InferenceEngine], None] | None = None,
        **options: Any,
    ) -> FrontEnd:
        settings = {"engine_wait_seconds": 5.0, **options}
        model = read_model(**{name: options[name] for name in MARKERS if name in options})
        servers = [
            InferenceServer(make_inference_engine(model, source)) for _ in range(num_engines)
        ]
        for server in servers:
            if prepare is not None:
                prepare(*server.engines)
            await server.start()
        urls = [url for server in servers for url in server.urls]
        engine = await RemoteEngine.start(urls, OPTIONS, ServerSettings(**settings), MODEL)
        services = make_services(**settings)
        services.set_engine(engine)
        app = create_app(services)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        http = httpx.AsyncClient(transport=transport, base_url="http://test", timeout=SECONDS)
        made.append(FrontEnd(engine, servers, services, app, http))
        if prepare is None:
            await made[-1].wait_ready()
        return made[-1]

    yield make
    for front in made:
        await front.http.aclose()
        await front.services.close()
        await front.engine.close()
        for server in front.servers:
            await server.stop()
        for engine in front.engines:
            await engine.scripted.close()


@cache
def read_model(**markers: str) -> RemoteEngine:
    """Return an engine that knows the model, and has no connections."""
    settings = ServerSettings.model_validate(markers)
    return RemoteEngine(OPTIONS, settings, MODEL)


def make_inference_engine(
    remote: RemoteEngine, source: LogitsSource | None = None
) -> InferenceEngine:
    """Return an engine of the model that a front end expects."""
    (stop_token_id,) = remote.profile.stop_token_ids
    scripted = ScriptedEngine(
        source or Recorded(remote.vocab_size, stop_token_id),
        remote.tokenizer,
        remote.profile,
        max_model_len=remote.max_model_len,
    )
    return InferenceEngine(scripted, remote._probe._identity.to_dict())


def make_request(
    request_id: str = "r",
    *,
    budget: int = 24,
    max_tokens: int = 60,
    rules: ThinkingRules | None = None,
    **sampling: Any,
) -> EngineRequest:
    """Return a greedy request of an engine."""
    plan = ThinkingPlan()
    if budget:
        plan = make_plan(read_model().profile, budget, rules or ThinkingRules(loop_guard=None))
    settings = SamplingSettings(max_tokens=max_tokens, **{"temperature": 0.0, **sampling})
    return EngineRequest(request_id, PROMPT, settings, plan)


async def read(engine: RemoteEngine, request: EngineRequest) -> list[EngineOutput]:
    """Return all outputs of a request."""
    async with asyncio.timeout(SECONDS):
        return [output async for output in engine.generate(request)]


def tokens_of(outputs: Sequence[EngineOutput]) -> list[int]:
    """Return the tokens of outputs."""
    return [token_id for output in outputs for token_id in output.token_ids]
