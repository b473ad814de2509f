"""The Ray Serve application: a deployment whose replicas each are a server with an engine.

    import_path: thinking_ray.application:build

The only module of this project that imports Ray. Does not know how the server is built
(``hosted_server``) or when replicas are added (``scaling``).
"""

import asyncio
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, field_validator
from ray import serve
from ray.serve import Application

from server.process.exit import ExitCode, end_descendants, end_now
from server.settings.settings import ServerSettings
from thinking_ray.hosted_server import LAST_WORDS_SECONDS, HostedServer, open_server
from thinking_ray.request_id import ProxyRequestIdMiddleware

# Beyond the drain: time to store what was finished, and to end the engine.
CLOSE_SECONDS = 35.0
HEALTH_CHECK_SECONDS = 5.0
# Each try loads a model. Ray's own default is 20.
MAX_STARTS = 3
# What they configure is in Ray's proxy here.
FOREIGN_SETTINGS = ("host", "port", "header_timeout_seconds", "send_timeout_seconds")


class Arguments(BaseModel):
    """``args`` of the application in serve.yaml."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of thinking-server, such as max_thinking_tokens (docs/options.md).",
    )
    engine: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of vLLM's AsyncEngineArgs, such as tensor_parallel_size.",
    )
    separate_state: bool = Field(
        default=False,
        description="Start although quotas, stored responses or sealed thoughts are not shared.",
    )

    @field_validator("settings")
    @classmethod
    def _check_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        for name in FOREIGN_SETTINGS:
            if name in settings:
                raise ValueError(f"{name} belongs to Ray Serve's proxy: set http_options instead")
        ServerSettings(**settings)
        return settings


class ThinkingServer:
    """One replica. Ray calls the methods, by these names, on one event loop."""

    async def __init__(self, arguments: dict[str, Any]) -> None:  # type: ignore[misc]  # Ray awaits
        self._server: HostedServer | None = None
        self._server = await open_server(
            arguments["settings"],
            arguments["engine"],
            separate_state=arguments["separate_state"],
        )
        self._server.app.add_middleware(ProxyRequestIdMiddleware)
        self._watch = asyncio.create_task(self._end_with_engine())

    @property
    def _open(self) -> HostedServer:
        assert self._server is not None
        return self._server

    def __serve_build_asgi_app__(self) -> FastAPI:
        return self._open.app

    async def check_health(self) -> None:
        """Raise if the replica has to be replaced; Ray tolerates two failures in a row."""
        self._open.check_health()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what ``scaling`` decides by."""
        return self._open.read_load()

    async def __del__(self) -> None:
        """Close the server. Ray calls this once, after the last request."""
        if self._server is not None:
            self._watch.cancel()
            try:
                await self._server.close()
            finally:
                end_descendants()

    async def _end_with_engine(self) -> None:
        """End the process when the engine has died, as ``thinking-server`` does.

        Until Ray's health checks have failed three times it would be the replica that is never
        busy, and be given most requests.
        """
        await self._open.engine.wait_dead()
        await asyncio.sleep(LAST_WORDS_SECONDS)
        end_now(ExitCode.ENGINE_DIED)


def build(arguments: Arguments) -> Application:
    """Return the application; ``deployments`` of serve.yaml may change its options.

    Our own queue decides what waits and what is refused, with a 429 that says for how long: so a
    replica is given all requests that it would have connections for.
    """
    settings = ServerSettings(**arguments.settings)
    deployment = serve.deployment(
        serve.ingress()(ThinkingServer),
        name=ThinkingServer.__name__,
        health_check_period_s=HEALTH_CHECK_SECONDS,
        max_constructor_retry_count=MAX_STARTS,
        max_ongoing_requests=settings.max_connections,
        graceful_shutdown_timeout_s=settings.drain_seconds + CLOSE_SECONDS,
    )
    application: Application = deployment.bind(arguments.model_dump())
    return application
