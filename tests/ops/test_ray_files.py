"""What a replica of Ray Serve does, without Ray: start, health, load, drain, and the policy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml
from cryptography.fernet import Fernet
from prometheus_client import CollectorRegistry
from thinking_ray.hosted_server import HostedServer, SeparateStateError, check_shared_state
from thinking_ray.scaling import LOAD_METRIC, LoadPolicy

from server.engine.protocol import Engine
from server.engine.scripted import ScriptedEngine
from server.errors.api import UnavailableError
from server.keys.anonymous import AnonymousError
from server.keys.sealed_thoughts import KEYS_VARIABLE
from server.settings.settings import ServerSettings
from tests.house.sources import ROOT
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, wants

CONFIG = yaml.safe_load((ROOT / "deploy" / "ray" / "serve.yaml").read_text(encoding="utf-8"))
SHARED: dict[str, Any] = {
    "quota_storage": "redis://127.0.0.1:1/0",
    "response_store": "redis://127.0.0.1:1/1",
}
ENDLESS = "a" * 20_000


def make_settings(**options: Any) -> ServerSettings:
    # A process cannot take back the limit on its core dumps.
    return ServerSettings(core_dumps=True, log_format="none", **options)


def make_engine(text: str) -> ScriptedEngine:
    profile = PROFILES["special markers"]
    return ScriptedEngine(
        wants(text), TOKENIZER, profile, model_name=MODEL, max_model_len=len(text) + 100
    )


@asynccontextmanager
async def hosted(
    engine: ScriptedEngine, **options: Any
) -> AsyncIterator[tuple[HostedServer, httpx.AsyncClient]]:
    async def load() -> Engine:
        return engine

    settings = make_settings(allow_anonymous=True, **options)
    server = await HostedServer.open(settings, load, CollectorRegistry())
    transport = httpx.ASGITransport(server.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://replica") as http:
        yield server, http


async def ask_in_background(http: httpx.AsyncClient) -> str:
    body = {
        "model": MODEL,
        "input": "How many?",
        "max_thinking_tokens": 0,
        "max_output_tokens": 15_000,
        "background": True,
    }
    return str((await http.post("/v1/responses", json=body)).raise_for_status().json()["id"])


async def test_a_replica_answers_and_tells_its_load() -> None:
    async with hosted(make_engine("<think>hm</think>yes")) as (server, http):
        server.check_health()
        body = {"model": MODEL, "messages": [{"role": "user", "content": "?"}]}
        reply = (await http.post("/v1/chat/completions", json=body)).raise_for_status()
        assert reply.json()["choices"][0]["message"]["content"] == "yes"
        assert server.read_load() == {"thinking_load": 0.0, "thinking_queue_length": 0.0}
        await server.close()


async def test_a_replica_whose_engine_died_is_unhealthy() -> None:
    engine = make_engine("yes")
    async with hosted(engine) as (server, http):
        engine.kill()
        with pytest.raises(UnavailableError, match="died"):
            server.check_health()
        assert (await http.get("/health")).status_code == 503
        await server.close()


async def test_what_runs_in_the_background_is_finished_before_a_replica_ends() -> None:
    async with hosted(make_engine("yes"), drain_seconds=30) as (server, http):
        response_id = await ask_in_background(http)
        await server.close()
        stored = await server.services.responses.get("anonymous", response_id)
    assert stored is not None
    assert stored.response["status"] == "completed"


async def test_a_drain_that_takes_too_long_ends() -> None:
    async with hosted(make_engine(ENDLESS), drain_seconds=0.05) as (server, http):
        await ask_in_background(http)
        await asyncio.wait_for(server.close(), 20)
        assert server.services.background.num_running == 0


async def test_a_replica_without_keys_has_to_be_wanted() -> None:
    async def load() -> Engine:
        raise AssertionError("no model is loaded for a server that cannot start")

    with pytest.raises(AnonymousError, match="allow_anonymous"):
        await HostedServer.open(make_settings(), load, CollectorRegistry())


@pytest.mark.parametrize(
    ("options", "has_keys", "named"),
    [
        (SHARED, True, None),
        (SHARED | {"response_store": None}, True, "RESPONSE_STORE"),
        (SHARED | {"response_store": None, "response_store_max_responses": 0}, True, None),
        (SHARED | {"quota_storage": "memory://"}, True, "QUOTA_STORAGE"),
        (SHARED, False, KEYS_VARIABLE),
    ],
)
def test_what_replicas_would_not_share_is_named_at_the_start(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], has_keys: bool, named: str | None
) -> None:
    monkeypatch.delenv(KEYS_VARIABLE, raising=False)
    if has_keys:
        monkeypatch.setenv(KEYS_VARIABLE, Fernet.generate_key().decode())
    if named is None:
        check_shared_state(make_settings(**options))
    else:
        with pytest.raises(SeparateStateError, match=named):
            check_shared_state(make_settings(**options))


def make_context(num_running: int, num_requests: float, *loads: float) -> Any:
    """Return what a policy reads of Ray's context, at a target of ten requests a replica."""
    return SimpleNamespace(
        current_num_replicas=num_running,
        target_num_replicas=1,
        total_num_requests=num_requests,
        aggregated_metrics={LOAD_METRIC: dict(enumerate(loads))} if loads else {},
        config=SimpleNamespace(get_target_ongoing_requests=lambda: 10.0),
    )


@pytest.mark.parametrize(
    ("context", "wanted"),
    [
        (make_context(2, 40.0), 4.0),  # no replica has reported its load yet
        (make_context(2, 40.0, 0.1, 0.1), 4.0),
        (make_context(2, 5.0, 0.75, 0.25), 2.0),
        (make_context(2, 5.0, 1.0, 1.0), 4.0),
        (make_context(4, 0.0, 0.0, 0.0), 0.0),
        (make_context(0, 0.0), 1),
    ],
)
def test_the_larger_of_both_demands_decides(context: Any, wanted: float) -> None:
    assert LoadPolicy(target_load=0.5)(context) == (wanted, {})


@pytest.mark.parametrize("target", [0.0, 1.0, -1.0, 70.0])
def test_a_target_that_no_load_can_have_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="target_load"):
        LoadPolicy(target)


def test_the_configuration_names_settings_that_exist() -> None:
    (application,) = CONFIG["applications"]
    assert application["import_path"] == "thinking_ray.application:build"
    ServerSettings(**application["args"]["settings"])
    (deployment,) = application["deployments"]
    drain_seconds = application["args"]["settings"]["drain_seconds"]
    assert deployment["graceful_shutdown_timeout_s"] > drain_seconds
    keep_alive = CONFIG["http_options"]["keep_alive_timeout_s"]
    assert keep_alive > ServerSettings().keep_alive_timeout_seconds
    policy = deployment["autoscaling_config"]["policy"]
    assert policy["policy_function"] == f"{LoadPolicy.__module__}:{LoadPolicy.__name__}"
    LoadPolicy(**policy["policy_kwargs"])
