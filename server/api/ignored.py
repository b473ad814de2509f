"""Fields and tools that a request contains and that this server does not use.

They are accepted, and named to the client in a header and to the operator in the log; a metric
counts them. Which ones these are is decided where a body is read or its tools are translated.
"""

import re

from fastapi import Request

from server.account.account import get_account
from server.api.foreign_kinds import UnknownKind
from server.errors.api import BadRequestError
from server.state import get_services

HEADER = "x-ignored-fields"
MAX_NAMED = 10
MAX_NAME_CHARACTERS = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9_.\[\]-]")


def note_ignored(request: Request, path: str) -> None:
    """Remember that the field at `path` of the request's body is not used.

    Field names are the client's own words: other than harmless characters become "?".

    Raises:
        BadRequestError: it is of an unknown type, and the operator wants those refused.
    """
    if isinstance(path, UnknownKind) and get_services(request).settings.unknown_fields == "refuse":
        raise BadRequestError(f"{path}: is of an unknown type", param=path, code="unknown_field")
    account = get_account(request)
    account.ignored_fields.append(_UNSAFE.sub("?", path[:MAX_NAME_CHARACTERS]))
    account.headers[HEADER] = format_ignored(account.ignored_fields)


def format_ignored(paths: list[str]) -> str:
    """Return the first paths, and how many more there are."""
    named = ", ".join(paths[:MAX_NAMED])
    num_more = len(paths) - MAX_NAMED
    return f"{named}, and {num_more} more" if num_more > 0 else named
