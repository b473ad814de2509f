"""Several models of one server: each request gets its own model, with that model's limits."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from server.engine.start_errors import EngineConfigError
from server.settings.models import ModelsError, list_remote_models
from server.settings.settings import ServerSettings
from server.state import LoadedModel, Services
from tests.server.conftest import PROFILES, TOKENIZER, make_services, wants
from tests.server.keys.conftest import ALICE, BOB, make_entry, to_bearer
from thinking.budget import Effort

SMALL, LARGE = "small", "large"
URL = "http://engine:8000"


def make_engine(name: str, answer: str) -> ScriptedEngine:
    profile = PROFILES["special markers"]
    return ScriptedEngine(wants(answer), TOKENIZER, profile, model_name=name, max_model_len=512)


class Server:
    """An app that serves both models."""

    def __init__(self, services: Services, engines: Mapping[str, ScriptedEngine]) -> None:
        self.services = services
        self.engines = engines
        transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://test")

    async def ask(self, secret: str = ALICE, **fields: Any) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": "How many?"}], **fields}
        return await self.http.post(
            "/v1/chat/completions", json=body, headers=to_bearer(secret), timeout=30
        )


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    keys = tmp_path / "keys.toml"
    keys.write_text(make_entry("alice", ALICE) + make_entry("bob", BOB, models=f'["{LARGE}"]'))
    services = make_services(keys_file=str(keys), max_thinking_tokens=100)
    engines = {SMALL: make_engine(SMALL, "Seven."), LARGE: make_engine(LARGE, "Eight.")}
    ceilings = {SMALL: 40, LARGE: 100}
    services.set_models(
        [
            LoadedModel(
                engine,
                services.settings.model_copy(
                    update={"served_model_name": [name], "max_thinking_tokens": ceilings[name]}
                ),
            )
            for name, engine in engines.items()
        ]
    )
    made = Server(services, engines)
    yield made
    await made.http.aclose()
    await services.close()
    for engine in engines.values():
        await engine.close()


async def test_a_request_gets_the_model_that_it_names(server: Server) -> None:
    for name, answer in ((SMALL, "Seven."), (LARGE, "Eight.")):
        reply = (await server.ask(model=name, max_thinking_tokens=0)).json()
        assert reply["model"] == name
        assert reply["choices"][0]["message"]["content"] == answer


async def test_each_model_has_its_own_ceiling(server: Server) -> None:
    for name, ceiling in ((SMALL, 40), (LARGE, 100)):
        reply = (await server.ask(model=name, max_thinking_tokens=5_000)).json()
        assert reply["choices"][0]["thinking"]["budget"] == ceiling
    models = (await server.http.get("/v1/models", headers=to_bearer(ALICE))).json()["data"]
    limits = {model["id"]: model["thinking"]["max_tokens"] for model in models}
    assert limits == {SMALL: 40, LARGE: 100}


async def test_a_request_without_a_model_gets_the_first_that_its_key_may_use(
    server: Server,
) -> None:
    assert (await server.ask()).json()["model"] == SMALL
    assert (await server.ask(BOB)).json()["model"] == LARGE


async def test_a_key_neither_sees_nor_uses_other_models(server: Server) -> None:
    listed = (await server.http.get("/v1/models", headers=to_bearer(BOB))).json()["data"]
    assert [model["id"] for model in listed] == [LARGE]
    for name in (SMALL, "none of them"):
        refused = await server.ask(BOB, model=name)
        assert refused.status_code == 404
        assert refused.json()["error"]["code"] == "model_not_found"
        assert SMALL not in refused.text


async def test_a_model_without_an_engine_leaves_the_others_alone(server: Server) -> None:
    server.engines[SMALL].not_ready_reason = "no engine is ready: it is silent"
    refused = await server.ask(model=SMALL)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "no_engine_ready"
    assert (await server.ask(model=LARGE)).status_code == 200
    health = await server.http.get("/health")
    assert health.status_code == 200
    assert health.json() == {
        "status": "degraded",
        "models": {SMALL: "no engine is ready: it is silent"},
    }
    server.engines[LARGE].not_ready_reason = "no engine is ready: it is silent"
    assert (await server.http.get("/health")).status_code == 503
    server.engines[SMALL].not_ready_reason = None
    server.engines[LARGE].not_ready_reason = None
    assert (await server.http.get("/health")).json() == {"status": "ok"}


async def test_two_models_of_one_name_are_refused() -> None:
    services = make_services()
    engines = [make_engine(SMALL, "Seven."), make_engine(SMALL, "Eight.")]
    with pytest.raises(EngineConfigError, match=SMALL):
        services.set_models([LoadedModel(engine) for engine in engines])
    await services.close()
    for engine in engines:
        await engine.close()


def configure(*urls: str, file: Path | None = None) -> dict[str | None, Any]:
    settings = ServerSettings(
        engine_url=list(urls), models_file=None if file is None else str(file), model="thinker"
    )
    return {model.settings.model: model for model in list_remote_models(settings)}


def test_urls_belong_to_the_model_of_their_name() -> None:
    models = configure(URL, "a=http://one", "a=https://two/x=1", "b=http://three")
    assert {name: list(model.urls) for name, model in models.items()} == {
        "thinker": [URL],
        "a": ["http://one", "https://two/x=1"],
        "b": ["http://three"],
    }
    assert models["a"].settings.served_model_name == ["a"]
    assert configure() == {}


def test_the_file_says_what_differs_from_the_server(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text(
        '[a]\nmodel = "owner/name"\nengine_url = ["http://one"]\nmax_thinking_tokens = 7\n'
        'served_model_name = ["best"]\neffort_tokens = { low = 5 }\n'
    )
    (model,) = configure("a=http://two", file=file).values()
    assert list(model.urls) == ["http://two", "http://one"]
    settings = model.settings
    assert (settings.model, settings.max_thinking_tokens) == ("owner/name", 7)
    assert settings.served_model_name == ["a", "best"]
    assert settings.effort_tokens == {Effort.LOW: 5}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[a]\n", "a: has no engine"),
        ('[a]\nengine_url = ["one"]\n', "a: engine_url"),
        ('[a]\nengine_url = ["http://one"]\nmax_thinking = 1\n', "max_thinking"),
        ('[a]\nengine_url = ["http://one"]\nmax_thinking_tokens = -1\n', "max_thinking_tokens"),
        ("[a\n", "--models-file"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "models.toml"
    file.write_text(text)
    with pytest.raises(ModelsError, match=named):
        configure("b=http://two", file=file)


@pytest.mark.parametrize("url", ["engine:8000", "a=engine", "ftp://engine", "http:/x"])
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(ModelsError, match="--engine-url"):
        configure(url)
