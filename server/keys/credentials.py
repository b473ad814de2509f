"""The secret in a request's headers. Works on bytes: no header value can fail to decode.

``authorization: Bearer …`` as OpenAI's clients send it, ``x-api-key: …`` as Anthropic's do.
"""

from collections.abc import Iterable, Iterator

from starlette.types import Scope

_BEARER = b"bearer"
# Prefix for the credentials of other schemes, so that they match no key.
_UNUSABLE = b"\0"


def read_presented_secret(scope: Scope) -> bytes | None:
    """Return the secret; None if there is none, or if the headers contain different ones.

    Different secrets are rejected: a proxy and the server behind it could identify the request
    with different callers.
    """
    found = set(_read_secrets(scope["headers"]))
    return found.pop() if len(found) == 1 else None


def _read_secrets(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    for name, value in headers:
        if name == b"x-api-key":
            yield value.strip()
        elif name == b"authorization":
            scheme, _, secret = value.strip().partition(b" ")
            yield secret.strip() if scheme.lower() == _BEARER else _UNUSABLE + value
