"""``GET /v1/responses``: OpenAI's WebSocket mode.

The handshake and each message are HTTP requests for the rest of the server. Does not know what
the messages mean.
"""

from urllib.parse import urlsplit

from fastapi import APIRouter, Request, WebSocket
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response

from server.api.openai.responses.socket.connection import ResponsesSocket
from server.api.openai.responses.socket.request import SocketRequest
from server.errors.api import NotAllowedError
from server.settings.settings import ServerSettings
from server.state import Services, get_services

_HANDSHAKE = "is_socket_handshake"
SWITCHING_PROTOCOLS = 101
router = APIRouter(prefix="/v1/responses")


@router.get("", include_in_schema=False)
async def check_handshake(request: Request) -> Response:
    """Answer the handshake of a socket, which comes from the server itself; 405 for any other."""
    if not getattr(request.state, _HANDSHAKE, False):
        raise HTTPException(405, headers={"Allow": "POST"})
    services = get_services(request)
    check_origin(services.settings, request.headers)
    services.slot.check_ready()
    return Response(status_code=SWITCHING_PROTOCOLS)


@router.websocket("")
async def open_socket(websocket: WebSocket) -> None:
    """Open a socket if its handshake is in order, and serve it."""
    app = websocket.app
    handshake = SocketRequest(websocket.scope, "GET", {_HANDSHAKE: True})
    answer = await handshake.run(app)
    assert answer is not None  # there are no events
    if answer.status != SWITCHING_PROTOCOLS:
        denial = Response(answer.body, answer.status)
        denial.raw_headers = answer.headers
        await websocket.send_denial_response(denial)
        return
    services: Services = app.state.services
    shown = [line for line in answer.headers if line[0] == b"x-request-id"]
    await websocket.accept(headers=shown)
    await ResponsesSocket(websocket, services).serve()


def check_origin(settings: ServerSettings, headers: Headers) -> None:
    """Check that the socket of a web page is one that the page may open.

    Browsers ask no server before they open a socket to it, but say which page does.

    Raises:
        NotAllowedError: the page is neither the server's own nor of an allowed origin.
    """
    origin = headers.get("origin")
    allowed = settings.allowed_origins
    if origin is None or "*" in allowed or origin in allowed:
        return
    if urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise NotAllowedError(
            "web pages of this origin may not open a WebSocket here; the operator can allow it "
            "(--allowed-origins)"
        )
