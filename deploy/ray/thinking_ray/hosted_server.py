"""The server without a listener and without signals, in a process that belongs to someone else.

Opens what ``thinking-server`` opens (services, engine, app), and closes it after a drain. The HTTP
connections are those of the host, which also decides when the process starts and ends. Knows
nothing of Ray, so that a test needs none.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from prometheus_client import REGISTRY, CollectorRegistry

from server.app import create_app
from server.engine.protocol import Engine
from server.hub.model_resolution import may_need_hub
from server.keys.anonymous import AnonymousError
from server.keys.sealed_thoughts import KEYS_VARIABLE
from server.keys.watching import poll_keys
from server.logs.log import LogFormat, ServerLog
from server.process.environment import set_process_defaults
from server.process.exit import forbid_core_dumps
from server.serve import start_engine
from server.settings.redis_url import MEMORY_URL
from server.settings.settings import ServerSettings
from server.state import Services, open_services

IDLE_POLL_SECONDS = 0.05
# Time for open requests to send their final error, after the engine died or the drain timed out.
LAST_WORDS_SECONDS = 1.0


class SeparateStateError(ValueError):
    """Replicas would each keep for themselves what a caller takes for the server's."""


def check_shared_state(settings: ServerSettings) -> None:
    """Check that replicas share what callers rely on.

    Raises:
        SeparateStateError: each replica would count, store or seal on its own.
    """
    problems = []
    if not _is_shared(settings.quota_storage):
        problems.append(
            "quotas and turn budgets would be granted by each replica anew "
            "(THINKING_SERVER_QUOTA_STORAGE=redis://…)"
        )
    if settings.response_store_max_responses and not _is_shared(settings.response_store):
        problems.append(
            "a stored response would be known to one replica only "
            "(THINKING_SERVER_RESPONSE_STORE=redis://…, or response_store_max_responses: 0)"
        )
    if not os.environ.get(KEYS_VARIABLE):
        problems.append(f"a sealed thought could be opened by one replica only ({KEYS_VARIABLE}=…)")
    if problems:
        raise SeparateStateError(
            f"replicas would not act as one server: {'; '.join(problems)}. If there is one replica "
            "only, or callers need none of this, set separate_state: true"
        )


def _is_shared(url: Any) -> bool:
    return url is not None and url.get_secret_value() != MEMORY_URL


@dataclass(slots=True)
class HostedServer:
    """An open server; `app` answers its requests until :meth:`close`."""

    services: Services
    app: FastAPI
    engine: Engine
    _resources: AsyncExitStack

    @classmethod
    async def open(
        cls,
        settings: ServerSettings,
        load: Callable[[], Awaitable[Engine]],
        registry: CollectorRegistry = REGISTRY,
    ) -> "HostedServer":
        """Open services and log, and start the engine with `load`.

        The host's address is not known here, so a server without keys has to be wanted.

        Raises:
            AnonymousError: there are no keys, and anonymous access is not allowed.
            EngineStartError, ModelResolutionError: see :func:`server.serve.start_engine`.
            ValueError: see :func:`server.state.open_services`.
        """
        services = open_services(settings, registry)
        if not services.keys.are_needed and not settings.allow_anonymous:
            raise AnonymousError(
                "refusing to serve without keys: configure them (keys_file or "
                "THINKING_SERVER_KEYS), or allow open access explicitly (allow_anonymous: true)"
            )
        async with AsyncExitStack() as resources:
            if not settings.core_dumps:
                forbid_core_dumps()
            log = ServerLog(LogFormat(settings.log_format))
            log.start()
            resources.callback(log.stop)
            engine = await load()
            resources.push_async_callback(engine.close)
            await asyncio.to_thread(services.set_engine, engine)
            resources.push_async_callback(services.close)
            await resources.enter_async_context(poll_keys(services.keys))
            return cls(services, create_app(services), engine, resources.pop_all())

    def check_health(self) -> None:
        """Do what ``/health`` does.

        Raises:
            UnavailableError: the engine has died, or the server is closing.
        """
        self.services.slot.check_ready()

    def read_load(self) -> dict[str, float]:
        """Return the metrics by which replicas are added, under their names of ``/metrics``."""
        return {
            "thinking_load": self.services.load.read_load(),
            "thinking_queue_length": float(self.services.admission.num_waiting),
        }

    async def close(self) -> None:
        """Finish replies in the background, as far as the drain allows, and end the engine.

        Requests that have a client are over: the host waits for those.
        """
        self.services.slot.is_draining = True
        if not await self._wait_until_idle(self.services.settings.drain_seconds):
            self.engine.give_up()
            await self._wait_until_idle(LAST_WORDS_SECONDS)
        await self._resources.aclose()

    async def _wait_until_idle(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.services.background.num_running:  # noqa: ASYNC110 - has no event
                    await asyncio.sleep(IDLE_POLL_SECONDS)
        return not self.services.background.num_running


async def open_server(
    settings: Mapping[str, Any], engine_options: Mapping[str, Any], *, separate_state: bool
) -> HostedServer:
    """Open a server with an engine of its own in this process.

    `settings` are options of ``thinking-server`` by their names in the settings; the environment
    counts too. `engine_options` are vLLM's, by the names of its ``AsyncEngineArgs``.

    Raises:
        SeparateStateError: see :func:`check_shared_state`.
        pydantic.ValidationError: an option is unknown or has a wrong value.
        ValueError: see :meth:`HostedServer.open`.
    """
    checked = ServerSettings(**settings)
    if not separate_state:
        check_shared_state(checked)
    # Before vLLM is imported, which reads these variables.
    set_process_defaults(
        needs_hub=may_need_hub(checked.model), logs_json=checked.log_format == "json"
    )
    return await HostedServer.open(checked, lambda: start_engine(checked, engine_options))
