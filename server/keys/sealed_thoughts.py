"""Encrypts and authenticates thoughts that clients store, so that no one else can read, change
or forge one.

A client keeps the sealed thought (`encrypted_content`, `signature`, `data`) and sends it back
with the next turn: the server need not store it. Uses Fernet (AES-128-CBC with HMAC-SHA256,
https://github.com/fernet/spec) from the ``cryptography`` package. Keys come from the environment
only. A thought belongs to the key that it was sealed for: the holder of another key cannot get
the model to repeat it.
"""

import base64
import copy
import json
import os
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from server.keys.key import ANONYMOUS_ID

KEYS_VARIABLE = "THINKING_SERVER_THOUGHT_KEYS"
# Marks the content, so that nothing else encrypted with these keys is accepted as a thought.
_KIND = "thought"
_KEY = "key"
_FORGED = "was not made by this server, or has been changed"


class SealError(ValueError):
    """The sealed thought is not ours, has been changed, or was sealed for another key."""


class SealKeyError(ValueError):
    """The sealing keys in the environment are malformed."""


class ThoughtSeal:
    """Seals with the first key and opens with any: to rotate, put a new key in front.

    Raises:
        SealKeyError: a key is not 32 bytes in URL-safe base64.
    """

    def __init__(self, keys: Sequence[str] = ()) -> None:
        try:
            # Without a key, generate one for this process: its seals end with the process.
            fernets = [Fernet(key) for key in keys or (Fernet.generate_key(),)]
        except ValueError:
            raise SealKeyError(
                f"{KEYS_VARIABLE}: each key should be 32 bytes in URL-safe base64; separate keys "
                "with commas"
            ) from None
        self._fernet = MultiFernet(fernets)
        self._key_id = ANONYMOUS_ID

    @classmethod
    def from_environment(cls) -> "ThoughtSeal":
        """Return a seal with the keys of ``THINKING_SERVER_THOUGHT_KEYS`` (comma-separated)."""
        keys = os.environ.get(KEYS_VARIABLE, "").split(",")
        return cls([key.strip() for key in keys if key.strip()])

    def of(self, key_id: str) -> "ThoughtSeal":
        """Return a seal with the same keys for the holder of access key `key_id`."""
        own = copy.copy(self)
        own._key_id = key_id
        return own

    def seal(self, thought: str) -> str:
        """Return `thought` as ASCII text that only this server can read."""
        content = {_KIND: thought, _KEY: self._key_id}
        return self._fernet.encrypt(json.dumps(content).encode()).decode()

    def open(self, sealed: str) -> str:
        """Return the thought that was sealed.

        Raises:
            SealError: it was not sealed with one of our keys for this holder, or was changed.
        """
        try:
            raw = sealed.encode("utf-8", "replace")
            # The last base64 character has unused bits: accept only the canonical encoding.
            if base64.urlsafe_b64encode(base64.urlsafe_b64decode(raw)) != raw:
                raise SealError(_FORGED)
            content = json.loads(self._fernet.decrypt(raw))
        except (InvalidToken, ValueError):
            raise SealError(_FORGED) from None
        if not isinstance(content, dict) or not isinstance(content.get(_KIND), str):
            raise SealError("is not a thought")
        if content.get(_KEY, ANONYMOUS_ID) != self._key_id:
            raise SealError(_FORGED)  # the same message, so that nobody learns whose it is
        return str(content[_KIND])
