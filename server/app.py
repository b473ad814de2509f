"""The app: routers, middleware and error handlers, wired together.

The engine may be loaded after the app is created: until ``Services.set_engine`` is called, every
endpoint that needs it answers 503. Starts and stops nothing.
"""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from server.account.account import get_account
from server.api.anthropic import router as messages
from server.api.models import router as models
from server.api.openai.chat import router as chat
from server.api.openai.completions import router as completions
from server.api.openai.responses import router as responses
from server.api.openai.responses.socket import router as responses_socket
from server.api.openapi import install_openapi
from server.api.thinking.control import router as control
from server.api.thinking.evaluation import router as evaluation
from server.api.thinking.map import router as thinking_map
from server.api.thinking.sealed import router as sealed_thoughts
from server.api.thinking.traces import router as traces
from server.api.thinking.turns import router as turns
from server.api.thinking.usage import router as usage
from server.api.tokens import router as tokens
from server.api_processes.exposition import join_pages
from server.api_processes.relay import ID_PARAMETER, NO_CONTENT, OK, RUNNING_PATH
from server.api_processes.siblings import Siblings
from server.http.body_limits import BodyLimitMiddleware, BodyTimeoutMiddleware
from server.http.content_encoding import ContentEncodingMiddleware
from server.http.cors import OriginMiddleware
from server.http.disconnect import ClientLeftError
from server.http.head import HeadMiddleware
from server.http.keep_alive import KeepAliveMiddleware
from server.http.paths import PathMiddleware
from server.http.request_id import RequestIdMiddleware
from server.logs.request_log import RequestLog
from server.metrics import CONTENT_TYPE_LATEST, Metrics
from server.metrics.metrics import get_version
from server.middleware.account import AccountMiddleware, Observer
from server.middleware.draining import DrainingMiddleware
from server.middleware.errors import install_error_handlers
from server.middleware.keys import METRICS_PATH, KeyMiddleware
from server.middleware.keys import SOCKET_PATHS as CHECKED_SOCKET_PATHS
from server.middleware.path_hint import API_PREFIX
from server.pages import router as pages
from server.state import Services, get_services

# Clients whose base URL lacks the prefix find these all the same.
_WITHOUT_PREFIX = ("/chat/completions", "/completions", "/messages", "/models", "/responses")
# Where a WebSocket may be opened, in both spellings.
SOCKET_PATHS = tuple(
    spelling for path in CHECKED_SOCKET_PATHS for spelling in (path, path.removeprefix(API_PREFIX))
)
CLIENT_CLOSED_REQUEST = 499  # nginx's code; no client reads it


def create_app(services: Services, siblings: Siblings | None = None) -> FastAPI:
    """Create an app around `services`, whose engine may be set later.

    `siblings` are the other API processes; None: there are none.
    """
    app = FastAPI(
        title="thinking-server",
        version=_read_version(),
        description="Models that think before they answer, within a budget.",
        docs_url=None,  # FastAPI's own page loads its scripts from elsewhere; ours is in `pages`
        redoc_url=None,
        redirect_slashes=False,  # the target would be built from the client's Host header
    )
    app.state.services, app.state.siblings = services, siblings
    app.include_router(chat.router)
    app.include_router(messages.router)
    app.include_router(responses.router)
    app.include_router(responses_socket.router)
    app.include_router(completions.router)
    app.include_router(models.router)
    app.include_router(tokens.router)
    app.include_router(traces.router)
    app.include_router(thinking_map.router)
    app.include_router(usage.router)
    app.include_router(turns.router)
    app.include_router(evaluation.router)
    app.include_router(pages.router)
    # Last: their paths have an id where others have names.
    app.include_router(control.router)
    app.include_router(sealed_thoughts.router)
    _add_own_routes(app)
    install_openapi(app)
    install_error_handlers(app)
    for left in (ClientLeftError, ClientDisconnect):  # the latter: while sending its body
        app.add_exception_handler(left, _handle_client_left)
    observers: list[Observer] = [RequestLog(lambda: services.slot.model_name)]
    if services.telemetry is not None:
        observers.append(services.telemetry)
    # The last added is the outermost.
    app.add_middleware(HeadMiddleware)
    app.add_middleware(ContentEncodingMiddleware, max_body_bytes=services.settings.max_body_bytes)
    app.add_middleware(BodyTimeoutMiddleware, seconds=services.settings.body_timeout_seconds)
    app.add_middleware(BodyLimitMiddleware, max_body_bytes=services.settings.max_body_bytes)
    app.add_middleware(KeyMiddleware, services=services)
    if services.settings.allowed_origins:
        app.add_middleware(OriginMiddleware, origins=services.settings.allowed_origins)
    app.add_middleware(AccountMiddleware, metrics=services.metrics, observers=observers)
    app.add_middleware(RequestIdMiddleware)
    app.add_middleware(DrainingMiddleware, slot=services.slot)
    app.add_middleware(KeepAliveMiddleware, seconds=services.settings.keep_alive_timeout_seconds)
    app.add_middleware(PathMiddleware, prefix=API_PREFIX, aliases=_WITHOUT_PREFIX)
    return app


def create_sibling_app(services: Services) -> FastAPI:
    """Create the app that answers the other API processes, for callers whom both check.

    It looks nowhere else, and what it answers is counted and logged by the process that asks.
    """
    app = FastAPI(openapi_url=None)
    app.state.services, app.state.siblings = services, None
    app.get(METRICS_PATH)(_get_metrics)
    app.get(RUNNING_PATH)(_get_running)
    app.include_router(control.router)
    app.include_router(sealed_thoughts.router)
    install_error_handlers(app)
    app.add_exception_handler(ClientLeftError, _handle_client_left)
    app.add_middleware(KeyMiddleware, services=services)
    app.add_middleware(AccountMiddleware, metrics=Metrics())
    app.add_middleware(RequestIdMiddleware)
    return app


def _add_own_routes(app: FastAPI) -> None:
    app.get("/api/hello", include_in_schema=False)(_get_hello)
    app.get("/health", tags=["server"], summary="Get server health")(_get_health)
    app.get("/version", tags=["server"], summary="Get the server version")(_get_version)
    app.get(
        METRICS_PATH,
        tags=["server"],
        summary="Get Prometheus metrics",
        response_class=PlainTextResponse,
    )(_get_metrics)


async def _get_hello() -> dict[str, str]:
    """Answer Claude Code's check of the connection."""
    return {"message": "hello"}


async def _get_health(request: Request) -> dict[str, Any]:
    """Get the server's health: 200 if it can answer requests, for one of its models at least.

    Otherwise 503: while the model loads or the server shuts down, after the engine has died, and
    while no engine elsewhere is ready.
    """
    slot = get_services(request).slot
    slot.check_ready()
    unready = slot.list_unready()
    return {"status": "degraded", "models": dict(unready)} if unready else {"status": "ok"}


async def _get_version() -> dict[str, Any]:
    return {"version": _read_version()}


async def _get_metrics(request: Request) -> Response:
    """Get the metrics of all API processes; with several, each series says of which."""
    content = get_services(request).metrics.render()
    siblings: Siblings | None = request.app.state.siblings
    if siblings is not None:
        answers = await siblings.ask_all(request, METRICS_PATH)
        pages = {n: answer.text for n, answer in answers.items() if answer.status_code == OK}
        pages[siblings.own_number] = content.decode()
        content = join_pages(dict(sorted(pages.items()))).encode()
    return Response(content, media_type=CONTENT_TYPE_LATEST)


async def _get_running(request: Request) -> Response:
    """Answer whether this process runs a reply of the caller: 204 or 404."""
    reply_id, key = request.query_params[ID_PARAMETER], get_account(request).key
    is_running = get_services(request).running.find(reply_id, key.key_id) is not None
    return Response(status_code=NO_CONTENT if is_running else 404)


async def _handle_client_left(request: Request, error: Exception) -> Response:
    return JSONResponse(None, CLIENT_CLOSED_REQUEST)


def _read_version() -> str:
    return get_version("thinking-server") or "0"  # run from a checkout
