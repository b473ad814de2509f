"""Assembles the server from listener, app, engine and lifecycle. Makes no decisions itself."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from prometheus_client import REGISTRY
from uvicorn.loops.auto import auto_loop_factory

from server.api_processes.accepting import ConnectionCounts
from server.api_processes.metrics import ProcessMetrics
from server.api_processes.place import ProcessPlace
from server.api_processes.requirements import ApiProcessesError, check_api_processes
from server.api_processes.siblings import Siblings
from server.api_processes.spawning import supervise
from server.app import SOCKET_PATHS, create_app, create_sibling_app
from server.engine.protocol import Engine
from server.engine.start_errors import EngineConfigError, EngineStartError
from server.http.connection import HttpConfig
from server.http.connection_limits import ConnectionLimits
from server.http.open_files import allow_open_files
from server.hub.model_resolution import ResolvedModel, prepare_int8_copy, resolve_model
from server.keys.anonymous import AnonymousError, check_listener
from server.keys.reading import KeyFileError
from server.keys.sealed_thoughts import SealKeyError
from server.keys.watching import watch_keys
from server.ledger.errors import LedgerConfigError
from server.ledger.prices import PriceFileError
from server.ledger.signing import LedgerKeyError
from server.lifecycle import HttpServer, Lifecycle
from server.logs.log import LogFormat, ServerLog
from server.process.console import print_status
from server.process.exit import ExitCode, end_descendants, forbid_core_dumps
from server.quotas.redis_script import RedisMissingError
from server.quotas.storage import QuotaStorageUrlError
from server.settings.models import ConfiguredModel, ModelsError, list_remote_models
from server.settings.settings import ServerSettings
from server.state import LoadedModel, Services, open_services
from server.stored_responses.redis_link import ResponseStoreConfigError
from server.telemetry.opening import TelemetryMissingError
from server.traces.access import TraceTokenError
from server.traces.store import TraceStoreError

# Time for handlers that were cut off after the drain to notice it.
CUT_OFF_SECONDS = 1


# Starts the engine, or looks for those elsewhere.
Load = Callable[[], Awaitable[Sequence[LoadedModel]]]


def run(settings: ServerSettings, engine_options: Mapping[str, Any]) -> int:
    """Serve until stopped and return the exit code. Leaves no child process behind."""
    return run_with(settings, partial(load_models, settings, engine_options))


def run_with(settings: ServerSettings, load: Load) -> int:
    """Serve what `load` loads; see :func:`run`. With several API processes, it is pickled."""
    try:
        check_api_processes(settings)
    except ApiProcessesError as error:
        print_status(f"error: {error}")
        return ExitCode.USAGE
    try:
        listener = bind_listener(settings.host, settings.port)
    except OSError as error:
        reason = error.strerror or error
        print_status(f"error: cannot listen on {settings.host}:{settings.port}: {reason}")
        return ExitCode.START_FAILED
    if settings.api_processes > 1:
        return _supervise(listener, settings, load)
    return _serve_on(listener, settings, None, load=load)


def _supervise(listener: socket.socket, settings: ServerSettings, load: Load) -> int:
    """Have other processes serve, and return the exit code of all."""
    log = ServerLog(LogFormat(settings.log_format))
    log.start()
    try:
        print_status(f"starting {settings.api_processes} processes for {format_url(listener)}")
        return supervise(listener, settings, partial(_serve_on, load=load))
    finally:
        end_descendants()
        log.stop()


def _serve_on(
    listener: socket.socket, settings: ServerSettings, place: ProcessPlace | None, *, load: Load
) -> ExitCode:
    """Serve in this process. `place` None: it is the only one."""
    if not settings.core_dumps:
        forbid_core_dumps()
    allow_open_files(settings.max_connections)
    number = None if place is None else place.number
    log = ServerLog(LogFormat(settings.log_format), process=number)
    log.start()
    try:
        # uvloop where it is installed, as uvicorn's own command does.
        with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
            return runner.run(_run(settings, load, listener, place))
    except (AnonymousError, KeyFileError, SealKeyError, TelemetryMissingError) as error:
        print_status(f"error: {error}")
        return ExitCode.USAGE
    except (TraceStoreError, TraceTokenError) as error:
        print_status(f"error: traces: {error}")
        return ExitCode.USAGE
    except (QuotaStorageUrlError, RedisMissingError) as error:
        print_status(f"error: quotas: {error}")
        return ExitCode.USAGE
    except (LedgerConfigError, LedgerKeyError, PriceFileError) as error:
        print_status(f"error: ledger: {error}")
        return ExitCode.USAGE
    except ModelsError as error:
        print_status(f"error: {error}")
        return ExitCode.USAGE
    except ResponseStoreConfigError as error:
        print_status(f"error: responses: {error}")
        return ExitCode.USAGE
    finally:
        end_descendants()
        log.stop()


async def load_models(
    settings: ServerSettings, options: Mapping[str, Any]
) -> Sequence[LoadedModel]:
    """Start the engine of the model, or look for the engines elsewhere of all models.

    Raises:
        ModelResolutionError: a model was not found.
        EngineStartError: see :meth:`VllmEngine.start` and :meth:`RemoteEngine.start`.
    """
    configured = list_remote_models(settings)
    if not configured:
        return [LoadedModel(await start_engine(settings, options))]
    return [await _find_engine(model, options) for model in configured]


async def start_engine(settings: ServerSettings, options: Mapping[str, Any]) -> Engine:
    """Resolve the model and start vLLM with it, without blocking the event loop."""
    model = await asyncio.to_thread(resolve_model, settings.model)
    names = settings.served_model_name or [model.served_name]
    vllm_engine = await asyncio.to_thread(_import_engine)
    try:
        model = await asyncio.to_thread(_choose_weights, model, vllm_engine, options)
        engine: Engine = await vllm_engine.start(
            {"served_model_name": names, **options, "model": model.path_or_hub_id},
            settings,
            names[0],
        )
    except EngineStartError as error:
        if not model.load_failure_hint:
            raise
        raise type(error)(f"{error}\n{model.load_failure_hint}") from error
    return engine


async def _find_engine(configured: ConfiguredModel, options: Mapping[str, Any]) -> LoadedModel:
    """Read a model, and look for its engines from now on; none needs to be there yet."""
    settings = configured.settings
    model = await asyncio.to_thread(resolve_model, settings.model)
    names = settings.served_model_name or [model.served_name]
    remote_engine = await asyncio.to_thread(_import_remote_engine)
    given = {"served_model_name": names, **options, "model": model.path_or_hub_id}
    engine = await remote_engine.start(configured.urls, given, settings, names[0])
    return LoadedModel(engine, settings)


def _choose_weights(
    model: ResolvedModel, vllm_engine: Any, options: Mapping[str, Any]
) -> ResolvedModel:
    given = {**options, "model": model.path_or_hub_id}
    if model.can_have_int8_copy and vllm_engine.prefers_int8(given):
        return prepare_int8_copy(model)
    return model


def _import_engine() -> Any:  # returns VllmEngine; importing vLLM takes ten seconds
    with _explain_missing_vllm():
        from server.engine.vllm_engine import VllmEngine
    return VllmEngine


def _import_remote_engine() -> Any:
    with _explain_missing_vllm():
        from server.engine.remote.remote_engine import RemoteEngine
    return RemoteEngine


@contextmanager
def _explain_missing_vllm() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "vllm":
            raise
        raise EngineConfigError(
            "vLLM is not installed: pip install 'thinking-server[cpu]' or 'thinking-server[cuda]'"
        ) from error


async def _run(
    settings: ServerSettings, load: Load, listener: socket.socket, place: ProcessPlace | None
) -> ExitCode:
    # The process-wide registry: vLLM registers its metrics there as well.
    services = open_services(settings, REGISTRY)
    check_listener(settings, services.keys, listener)
    siblings = None
    if place is not None:
        siblings = Siblings(place, ProcessMetrics(services.metrics.registry, place))
    lifecycle = Lifecycle(
        http=_create_http(
            create_app(services, siblings),
            settings,
            SOCKET_PATHS,
            None if place is None else ConnectionCounts(place),
        ),
        listener=listener,
        services=services,
        load=load,
        url=format_url(listener),
        listens_at_once=place is None or place.listens_at_once,
        wait_to_listen=None if place is None else place.wait_open,
    )
    async with watch_keys(services.keys), _answer_siblings(services, siblings, place):
        return await lifecycle.run()


@asynccontextmanager
async def _answer_siblings(
    services: Services, siblings: Siblings | None, place: ProcessPlace | None
) -> AsyncIterator[None]:
    """Answer the other API processes inside the context."""
    if place is None or siblings is None:
        yield
        return
    http = _create_http(create_sibling_app(services), services.settings)
    serving = asyncio.create_task(http.serve(sockets=[place.open_socket()]))
    try:
        yield
    finally:
        http.should_exit = True
        await serving
        await siblings.close()


def _create_http(
    app: FastAPI,
    settings: ServerSettings,
    paths: Sequence[str] = (),
    counts: ConnectionCounts | None = None,
) -> HttpServer:
    return HttpServer(
        HttpConfig(
            app,
            ConnectionLimits.of(settings),
            socket_paths=paths,
            max_message_bytes=settings.max_body_bytes,
            log_config=None,  # ServerLog configures its loggers
            access_log=False,
            timeout_graceful_shutdown=CUT_OFF_SECONDS,
        ),
        counts,
    )


def bind_listener(host: str, port: int) -> socket.socket:
    """Return a TCP socket that is bound to the address.

    Raises:
        OSError: the address is in use or not one of this machine.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # The protocol is given explicitly because asyncio sets TCP_NODELAY on such sockets only.
    # Without it the second piece of a response waits 40 ms for the client's delayed ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    return listener


def format_url(listener: socket.socket) -> str:
    """Return the URL at which a client on this machine reaches `listener`."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
