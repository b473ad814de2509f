"""The secret that a request's headers present. Bytes throughout: no header can be malformed.

``authorization: Bearer …`` as OpenAI's clients send it, ``x-api-key: …`` as Anthropic's do.
"""

from collections.abc import Iterable, Iterator

from starlette.types import Scope

_BEARER = b"bearer"
# Before the credentials of another scheme: no key has such a secret.
_NOBODYS = b"\0"


def presented_secret(scope: Scope) -> bytes | None:
    """The secret; None where there is none, or where two headers say different things.

    Two different ones: a proxy and what stands behind it could take them for different callers.
    """
    found = set(_presented(scope["headers"]))
    return found.pop() if len(found) == 1 else None


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    for name, value in headers:
        if name == b"x-api-key":
            yield value.strip()
        elif name == b"authorization":
            scheme, _, secret = value.strip().partition(b" ")
            yield secret.strip() if scheme.lower() == _BEARER else _NOBODYS + value
