"""Signatures of ledger rows: HMAC-SHA256 over the row's canonical form.

Keys come from the environment only. The first one signs, any of them verifies: to rotate, put a new
key in front. Knows no database.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
from collections.abc import Sequence
from typing import Any

from server.ledger.row import LedgerRow

KEYS_VARIABLE = "THINKING_SERVER_LEDGER_KEYS"
PREFIX = "v1."
KEY_BYTES = 32


class LedgerKeyError(ValueError):
    """The signing keys in the environment are malformed. Quotes no key."""


class RowSigner:
    """Signs with the first of `keys` and verifies with any. No `repr` shows a key.

    Raises:
        LedgerKeyError: a key is not 32 bytes in URL-safe base64.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [_decode_key(key) for key in keys]

    @classmethod
    def from_environment(cls) -> "RowSigner":
        """Return a signer with the keys of ``THINKING_SERVER_LEDGER_KEYS`` (comma-separated)."""
        keys = os.environ.get(KEYS_VARIABLE, "").split(",")
        return cls([key.strip() for key in keys if key.strip()])

    @property
    def has_keys(self) -> bool:
        """True if rows are signed."""
        return bool(self._keys)

    def sign(self, row: LedgerRow) -> str | None:
        """Return the signature of `row`; None: there is no key."""
        return _compute(self._keys[0], canonicalize(row)) if self._keys else None

    def verify(self, row: LedgerRow, signature: str) -> bool:
        """Return whether one of the keys has made `signature` for exactly this row."""
        content, given = canonicalize(row), signature.encode("utf-8", "replace")
        return any(
            hmac.compare_digest(_compute(key, content).encode(), given) for key in self._keys
        )


def canonicalize(row: LedgerRow) -> bytes:
    """Return the bytes that are signed: the row's fields in the canonical JSON of RFC 8785."""
    return json.dumps(
        _to_canonical_numbers(row.to_signed_dict()),
        ensure_ascii=False,
        sort_keys=True,
        separators=(",", ":"),
        allow_nan=False,
    ).encode()


def _to_canonical_numbers(value: Any) -> Any:
    """Replace whole floats by integers, as RFC 8785 writes them.

    All others of a receipt are seconds, rounded to milliseconds: Python writes those as JavaScript
    does.
    """
    if isinstance(value, dict):
        return {name: _to_canonical_numbers(inner) for name, inner in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _compute(key: bytes, content: bytes) -> str:
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _decode_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise LedgerKeyError(
            f"{KEYS_VARIABLE}: each key should be {KEY_BYTES} bytes in URL-safe base64; separate "
            "keys with commas"
        )
    return key
