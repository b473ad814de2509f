"""Puts the server together: listener, app, engine, lifecycle. Decides nothing itself."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

from prometheus_client import REGISTRY

from server.app import create_app
from server.engine.protocol import Engine
from server.engine.start_errors import EngineConfigError, EngineStartError
from server.http.connection import HttpConfig
from server.http.connection_limits import ConnectionLimits
from server.http.open_files import allow_open_files
from server.hub.model_resolution import resolve_model
from server.keys.anonymous import AnonymousError, check_listener
from server.keys.reading import KeyFileError
from server.keys.sealed_thoughts import SealKeyError
from server.keys.watching import watched
from server.lifecycle import HttpServer, Lifecycle
from server.logs.log import LogFormat, ServerLog
from server.process.console import say
from server.process.exit import ExitCode, end_descendants, forbid_core_dumps
from server.quotas.redis_counters import RedisMissingError
from server.quotas.storage import QuotaStorageUrlError
from server.settings.settings import ServerSettings
from server.state import ServerState
from server.telemetry.opening import TelemetryMissingError
from server.traces.access import TraceTokenError
from server.traces.store import TraceStoreError

# After draining, for handlers that are cut off to notice it.
CUT_OFF_SECONDS = 1


def run(settings: ServerSettings, engine_options: Mapping[str, Any]) -> int:
    """Serve until stopped; the exit code. No process of ours is left behind."""
    try:
        listener = bound_listener(settings.host, settings.port)
    except OSError as error:
        say(f"error: cannot listen on {settings.host}:{settings.port}: {error.strerror or error}")
        return ExitCode.START_FAILED
    allow_open_files(settings.max_connections)
    if not settings.core_dumps:
        forbid_core_dumps()
    log = ServerLog(LogFormat(settings.log_format))
    log.start()
    try:
        return asyncio.run(_run(settings, engine_options, listener))
    except (AnonymousError, KeyFileError, SealKeyError, TelemetryMissingError) as error:
        say(f"error: {error}")
        return ExitCode.USAGE
    except (TraceStoreError, TraceTokenError) as error:
        say(f"error: traces: {error}")
        return ExitCode.USAGE
    except (QuotaStorageUrlError, RedisMissingError) as error:
        say(f"error: quotas: {error}")
        return ExitCode.USAGE
    finally:
        end_descendants()
        log.stop()


async def load_engine(settings: ServerSettings, options: Mapping[str, Any]) -> Engine:
    """Resolve the model and start vLLM on it; the event loop stays free.

    Raises:
        ModelResolutionError: no such model.
        EngineStartError: see :meth:`VllmEngine.start`.
    """
    model = await asyncio.to_thread(resolve_model, settings.model)
    name = settings.served_model_name or model.served_name
    start = await asyncio.to_thread(_import_engine)
    try:
        engine: Engine = await start(
            {"served_model_name": [name], **options, "model": model.path_or_hub_id}, settings, name
        )
    except EngineStartError as error:
        if not model.load_failure_hint:
            raise
        raise type(error)(f"{error}\n{model.load_failure_hint}") from error
    return engine


def _import_engine() -> Any:  # VllmEngine.start; vLLM takes ten seconds to import
    try:
        from server.engine.vllm_engine import VllmEngine
    except ModuleNotFoundError as error:
        if error.name != "vllm":
            raise
        raise EngineConfigError(
            "vLLM is not installed: pip install 'thinking-server[cpu]' or 'thinking-server[cuda]'"
        ) from error
    return VllmEngine.start


async def _run(
    settings: ServerSettings, engine_options: Mapping[str, Any], listener: socket.socket
) -> ExitCode:
    # The process's own registry: vLLM puts its metrics there, too.
    state = ServerState(settings, REGISTRY)
    check_listener(settings, state.keys, listener)
    config = HttpConfig(
        create_app(state),
        ConnectionLimits.of(settings),
        log_config=None,  # our log has its loggers
        access_log=False,
        timeout_graceful_shutdown=CUT_OFF_SECONDS,
    )
    lifecycle = Lifecycle(
        http=HttpServer(config),
        listener=listener,
        state=state,
        load=lambda: load_engine(settings, engine_options),
        url=url_of(listener),
    )
    async with watched(state.keys):
        return await lifecycle.run()


def bound_listener(host: str, port: int) -> socket.socket:
    """A socket bound to the address.

    Raises:
        OSError: the address is taken, or not ours.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # With its protocol named: asyncio sets TCP_NODELAY on such sockets only, and without that
    # the second piece of an answer waits for the client's delayed acknowledgement, 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a client on this machine finds it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
