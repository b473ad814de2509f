"""Asks the other API processes for what this one does not have, before a client gets a 404.

The process that has it answers, under its own check of the caller's key. Knows no wire format.
"""

from fastapi import Request, Response

from server.api_processes.siblings import Siblings
from server.http.disconnect import run_while_connected

# Of the sockets between processes only.
RUNNING_PATH = "/running"
ID_PARAMETER = "id"
NO_CONTENT, OK = 204, 200


async def relay_order(request: Request, reply_id: str) -> Response | None:
    """Have the process that runs a reply answer `request`; None: no other runs it for its caller.

    Raises:
        ClientLeftError: the client disconnected first.
    """
    siblings: Siblings | None = request.app.state.siblings
    if siblings is None:
        return None
    # In two steps: an order may take long, and a process that hangs must not hold it up.
    answers = await siblings.ask_all(request, RUNNING_PATH, {ID_PARAMETER: reply_id})
    for number, answer in answers.items():
        if answer.status_code == NO_CONTENT:
            passed_on = await run_while_connected(request, siblings.pass_on(number, request))
            return None if passed_on is None else _copy(passed_on.status_code, passed_on.content)
    return None


async def relay_search(request: Request) -> Response | None:
    """Return the answer to a GET of the process that has what is wanted; None: no other has it."""
    siblings: Siblings | None = request.app.state.siblings
    if siblings is None:
        return None
    answers = await siblings.ask_all(request, request.scope["path"])
    found = (answer for answer in answers.values() if answer.status_code == OK)
    return next((_copy(OK, answer.content) for answer in found), None)


def _copy(status: int, content: bytes) -> Response:
    return Response(content, status, media_type="application/json")
