"""A hint for requests to paths that do not exist: the served path that was probably meant.

Most such requests come from a base URL with one ``/v1`` too many or too few. Hints name paths of
routes only, never text of a request.
"""

from starlette.requests import Request
from starlette.routing import Match, Route

# All APIs are below it, those of vLLM's tokenizer and the server's own pages beside it.
API_PREFIX = "/v1"
# Enough for any base URL, and little work for a hostile path.
_MAX_CHARACTERS = 300
_MAX_SEGMENTS = 10


def find_hint(request: Request) -> str:
    """Return the end of an error message, or "" if no served path resembles the request's."""
    path = str(request.scope["path"])
    if len(path) > _MAX_CHARACTERS or path.count("/") > _MAX_SEGMENTS:
        return ""
    starts = [index for index, character in enumerate(path) if character == "/"]
    for start in starts:  # the longest end first
        for candidate in (path[start:], API_PREFIX + path[start:]):
            if candidate != path and (served := _find_route(request, candidate)):
                return f"{_explain(path, candidate)}; did you mean {served}?"
    return ""


def _explain(path: str, candidate: str) -> str:
    if candidate == API_PREFIX + path:
        return f": the client's base URL lacks {API_PREFIX}"
    if path == API_PREFIX + candidate:
        return f": the client's base URL has one {API_PREFIX} too many"
    return ""


def _find_route(request: Request, path: str) -> str | None:
    """Return the path of the route that serves `path`, with its parameters' names."""
    scope = {**request.scope, "path": path}
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            return route.path_format
    return None
