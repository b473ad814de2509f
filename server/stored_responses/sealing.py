"""Encryption of what leaves this process for a shared store.

Stored responses hold thoughts that nobody may read, not even who may read the store: Fernet, with
the keys that seal thoughts (``server.keys.sealed_thoughts``). The name of a record is sealed with
it, so that whoever writes to the store cannot put one record in another's place. Compressed first:
most of a stream of events is the same.
"""

import os
import zlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from server.keys.sealed_thoughts import KEYS_VARIABLE, SealKeyError

_COMPRESSION = 1  # the fastest


class RecordSealError(ValueError):
    """A record was sealed with other keys, or changed."""


class RecordSeal:
    """Seals with the first key, opens with any.

    Raises:
        SealKeyError: there is no key, or a key is malformed.
    """

    def __init__(self, keys: str) -> None:
        given = [key.strip() for key in keys.split(",") if key.strip()]
        if not given:
            raise SealKeyError(
                f"--response-store: {KEYS_VARIABLE} is not set; all servers that share a store "
                "need the same keys, since what they store holds hidden thoughts"
            )
        try:
            self._fernet = MultiFernet([Fernet(key) for key in given])
        except ValueError:
            raise SealKeyError(
                f"{KEYS_VARIABLE}: each key should be 32 bytes in URL-safe base64"
            ) from None

    @classmethod
    def from_environment(cls) -> "RecordSeal":
        """Return a seal with the keys of ``THINKING_SERVER_THOUGHT_KEYS``."""
        return cls(os.environ.get(KEYS_VARIABLE, ""))

    def seal(self, name: str, record: bytes) -> bytes:
        """Return `record`, readable under the same name only."""
        # No JSON, so it cannot be taken for a thought.
        return self._fernet.encrypt(name.encode() + b"\0" + zlib.compress(record, _COMPRESSION))

    def open(self, name: str, sealed: bytes) -> bytes:
        """Return the record that was sealed under `name`.

        Raises:
            RecordSealError: it was not sealed with one of our keys, or under another name.
        """
        try:
            found, _, record = self._fernet.decrypt(sealed).partition(b"\0")
        except InvalidToken:
            raise RecordSealError(
                f"it was sealed with other keys: give all servers the same {KEYS_VARIABLE}"
            ) from None
        if found != name.encode():
            raise RecordSealError("a record is in another's place")
        return zlib.decompress(record)
