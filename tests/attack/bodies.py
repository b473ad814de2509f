"""Every endpoint that takes a body, with a small valid one; and what is not JSON of ours."""

import json
from typing import Any

from tests.attack.conftest import CHAT
from tests.server.conftest import MODEL

_MESSAGES = [{"role": "user", "content": "How many?"}]
VALID: dict[str, dict[str, Any]] = {
    CHAT: {"model": MODEL, "messages": _MESSAGES, "max_completion_tokens": 8},
    "/v1/completions": {"model": MODEL, "prompt": "How many?", "max_tokens": 8},
    "/v1/responses": {"model": MODEL, "input": "How many?", "max_output_tokens": 8},
    "/v1/messages": {"model": MODEL, "messages": _MESSAGES, "max_tokens": 8},
    "/v1/messages/count_tokens": {"model": MODEL, "messages": _MESSAGES},
    "/tokenize": {"model": MODEL, "prompt": "How many?"},
    "/detokenize": {"model": MODEL, "tokens": [1]},
    "/v1/thinking/map": {"model": MODEL, "text": "How many?", "thought_tokens": 4},
}
MANY = 60_000


def with_raw(path: str, field: bytes) -> bytes:
    """The valid body of `path` with a raw `field` at its end."""
    return json.dumps(VALID[path])[:-1].encode() + b"," + field + b"}"


def _nested(open_: bytes, close: bytes, depth: int) -> bytes:
    return open_ * depth + b"1" + close * depth


# On every endpoint, whatever of it an endpoint knows.
HOSTILE_FIELDS: dict[str, bytes] = {
    "deep arrays": b'"x":' + _nested(b"[", b"]", 100_000),
    "deep objects": b'"x":' + _nested(b'{"a":', b"}", 100_000),
    "deep metadata": b'"metadata":{"a":' + _nested(b"[", b"]", 100_000) + b"}",
    "deep template arguments": b'"chat_template_kwargs":{"a":' + _nested(b"[", b"]", 180) + b"}",
    "not a number": b'"temperature":NaN',
    "infinity": b'"temperature":1e999',
    "an integer of 5000 digits": b'"seed":1' + b"0" * 5_000,
    "an integer of 4000 digits": b'"seed":1' + b"0" * 4_000,
    "bytes that are no UTF-8": b'"user":"\xff"',
    "half a surrogate pair": b'"user":"\\ud800"',
    "a name of a million characters": b'"' + b"a" * 1_000_000 + b'":1',
    "many names": b",".join(b'"a%d":1' % number for number in range(MANY)),
    "many replies": b'"n":1000000',
    "many stop strings": b'"stop":[' + b'"a",' * MANY + b'"a"]',
    "a long stop string": b'"stop":"' + b"a" * 1_000_000 + b'"',
    "many biases": b'"logit_bias":{' + b",".join(b'"%d":1' % n for n in range(MANY)) + b"}",
    "many tools": b'"tools":['
    + b",".join(b'{"type":"function","function":{"name":"f%d"}}' % n for n in range(12_000))
    + b"]",
}

# Where a body is expected.
NO_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "a string": b'"a"',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"model": "scripted"}'.encode("utf-16"),
    "arrays without an end": b"[" * 1_000_000,
    "two bodies": b"{}{}",
}
