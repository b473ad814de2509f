"""``GET /``, ``/status``, ``/docs``, ``/static/…``: the pages for people, and what they load.

The pages hold nothing of the server: what they show, they ask the API for, with the key that is
typed into them. So they need no key themselves.
"""

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from server.pages.files import API_PAGE, PageFile, read_files
from server.state import get_services

router = APIRouter(include_in_schema=False)

_FILES = read_files()
_HEADERS = {
    # Asked again each time, so that a page never runs with the scripts of another version.
    "cache-control": "no-cache",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
NOT_MODIFIED, NOT_FOUND = 304, 404


@router.get("/")
async def get_root(request: Request) -> Response:
    """Return the playground to a browser, and to others where the APIs are."""
    if get_services(request).settings.pages and _prefers_html(request):
        return _send(request, _FILES["playground.html"], vary="accept")
    links = {
        "name": "thinking-server",
        "openai_base_url": "/v1",
        "anthropic_base_url": "/",
        "docs": "/docs",
        "health": "/health",
    }
    return JSONResponse(links, headers={"vary": "accept"})


@router.get("/status")
async def get_status(request: Request) -> Response:
    """Return the operator's page."""
    return _send_file(request, "status.html")


@router.get("/docs")
async def get_api_page(request: Request) -> Response:
    """Return the page of the OpenAPI document."""
    return _send_file(request, API_PAGE)


@router.get("/static/{path:path}")
async def get_file(request: Request, path: str) -> Response:
    """Return a file that the pages load."""
    return _send_file(request, path)


def _send_file(request: Request, path: str) -> Response:
    if not get_services(request).settings.pages or path not in _FILES:
        raise HTTPException(NOT_FOUND)
    return _send(request, _FILES[path])


def _send(request: Request, file: PageFile, vary: str | None = None) -> Response:
    headers = {**_HEADERS, "etag": file.etag}
    if file.content_policy:
        headers["content-security-policy"] = file.content_policy
    if vary is not None:
        headers["vary"] = vary
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return Response(file.content, headers=headers, media_type=file.content_type)


def _prefers_html(request: Request) -> bool:
    """Return True for a browser: it names HTML, while API clients name JSON or anything."""
    return "text/html" in request.headers.get("accept", "")
