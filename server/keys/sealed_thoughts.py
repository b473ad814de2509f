"""Thoughts that travel through a client: encrypted and authenticated, so that no one else
can read, change or forge one.

A client keeps what it was given (`encrypted_content`, `signature`, `data`) and sends it back
with the next turn: the server needs no memory of it. Fernet (AES-128-CBC with HMAC-SHA256,
https://github.com/fernet/spec), from the ``cryptography`` package. Keys come from the environment
only. A thought belongs to the key that it was sealed for: no other key's holder can have the
model tell it.
"""

import base64
import copy
import json
import os
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from server.keys.key import ANONYMOUS_ID

KEYS_VARIABLE = "THINKING_SERVER_THOUGHT_KEYS"
# Says what is inside, so that nothing else that these keys ever encrypt is taken for a thought.
_KIND = "thought"
_KEY = "key"
_FORGED = "was not made by this server, or has been changed"


class SealError(ValueError):
    """A sealed thought that is not ours, has been changed, or was sealed for someone else."""


class SealKeyError(ValueError):
    """The environment's keys are malformed."""


class ThoughtSeal:
    """Seals with the first key, opens with any: put a new key in front to rotate.

    Raises:
        SealKeyError: a key is not 32 bytes in URL-safe base64.
    """

    def __init__(self, keys: Sequence[str] = ()) -> None:
        try:
            # Without a key: one of this process only; what it seals does not outlive it.
            fernets = [Fernet(key) for key in keys or (Fernet.generate_key(),)]
        except ValueError:
            raise SealKeyError(
                f"{KEYS_VARIABLE}: each key should be 32 bytes in URL-safe base64, with commas "
                "between them"
            ) from None
        self._fernet = MultiFernet(fernets)
        self._key_id = ANONYMOUS_ID

    @classmethod
    def from_environment(cls) -> "ThoughtSeal":
        """With the keys of ``THINKING_SERVER_THOUGHT_KEYS`` (commas between them)."""
        keys = os.environ.get(KEYS_VARIABLE, "").split(",")
        return cls([key.strip() for key in keys if key.strip()])

    def of(self, key_id: str) -> "ThoughtSeal":
        """The same seal, for the holder of this key."""
        own = copy.copy(self)
        own._key_id = key_id
        return own

    def seal(self, thought: str) -> str:
        """`thought` as ASCII text that only this server can read."""
        content = {_KIND: thought, _KEY: self._key_id}
        return self._fernet.encrypt(json.dumps(content).encode()).decode()

    def open(self, sealed: str) -> str:
        """The thought that was sealed.

        Raises:
            SealError: not sealed by a key of ours for this holder, or changed since.
        """
        try:
            raw = sealed.encode("utf-8", "replace")
            # The last character has bits that mean nothing: one seal has one spelling.
            if base64.urlsafe_b64encode(base64.urlsafe_b64decode(raw)) != raw:
                raise SealError(_FORGED)
            content = json.loads(self._fernet.decrypt(raw))
        except (InvalidToken, ValueError):
            raise SealError(_FORGED) from None
        if not isinstance(content, dict) or not isinstance(content.get(_KIND), str):
            raise SealError("is not a thought")
        if content.get(_KEY, ANONYMOUS_ID) != self._key_id:
            raise SealError(_FORGED)  # as such, so that nobody learns whose it is
        return str(content[_KIND])
