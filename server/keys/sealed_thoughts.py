"""Encrypts and authenticates thoughts that clients store, so that no one else can read, change
or forge one.

A client keeps the sealed thought (`encrypted_content`, `signature`, `data`) and sends it back
with the next turn: the server need not store it. A thought that was cut is sealed as its token ids
and what it belongs to, so that it can go on. Uses Fernet (AES-128-CBC with HMAC-SHA256,
https://github.com/fernet/spec) from the ``cryptography`` package. Keys come from the environment
only. A thought belongs to the key that it was sealed for: the holder of another key cannot get
the model to repeat it.
"""

import base64
import copy
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from server.keys.key import ANONYMOUS_ID
from server.prompt.cut_thought import CutThought, ThoughtOrigin
from thinking.earlier_thought import KeptThought

KEYS_VARIABLE = "THINKING_SERVER_THOUGHT_KEYS"
# Mark the content, so that nothing else encrypted with these keys is accepted as a thought.
_KIND = "thought"
_CUT = "cut_thought"  # its value is the version of the content
_VERSION = 1
# Token ids follow the JSON after a line end, in as many bytes each. They are not compressed: the
# length would depend on the words, which the client may not know.
_HEAD_END = b"\n"
_TOKEN_BYTES = 3
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

    def seal_cut(self, thought: CutThought) -> str:
        """Return a thought that was cut as ASCII text, 4 characters a token and some hundred."""
        origin, kept = thought.origin, thought.kept
        head = {
            _CUT: _VERSION,
            _KEY: self._key_id,
            "model": origin.model_name,
            "markers": origin.markers,
            "prompt": origin.prompt,
            "hints": dict(origin.hints),
            "opening": kept.num_opening,
        }
        content = json.dumps(head).encode() + _HEAD_END + _pack(kept.token_ids)
        return self._fernet.encrypt(content).decode()

    def open(self, sealed: str) -> str:
        """Return the thought that was sealed.

        Raises:
            SealError: it was not sealed with one of our keys for this holder, or was changed.
        """
        content, _ = self._open(sealed)
        if not isinstance(content.get(_KIND), str):
            raise SealError("is not a thought")
        return str(content[_KIND])

    def open_cut(self, sealed: str) -> CutThought:
        """Return the thought that was sealed with :meth:`seal_cut`.

        Raises:
            SealError: see :meth:`open`; or it is a thought of the other kind, or of another version
                of this server.
        """
        content, packed = self._open(sealed)
        if content.get(_CUT) != _VERSION:
            raise SealError("is not a thought that was cut, or of another version of this server")
        origin = ThoughtOrigin(
            content["model"], content["markers"], content["prompt"], content["hints"]
        )
        return CutThought(KeptThought(_unpack(packed), content["opening"]), origin)

    def _open(self, sealed: str) -> tuple[dict[str, Any], bytes]:
        """Return the JSON object in `sealed`, and the bytes after it."""
        try:
            raw = sealed.encode("utf-8", "replace")
            # The last base64 character has unused bits: accept only the canonical encoding.
            if base64.urlsafe_b64encode(base64.urlsafe_b64decode(raw)) != raw:
                raise SealError(_FORGED)
            head, _, rest = self._fernet.decrypt(raw).partition(_HEAD_END)
            content = json.loads(head)
        except (InvalidToken, ValueError):
            raise SealError(_FORGED) from None
        if not isinstance(content, dict):
            raise SealError("is not a thought")
        if content.get(_KEY, ANONYMOUS_ID) != self._key_id:
            raise SealError(_FORGED)  # the same message, so that nobody learns whose it is
        return content, rest


def set_seal_key() -> None:
    """Make one key for this process and all that inherit its environment, unless it has keys."""
    if not os.environ.get(KEYS_VARIABLE, "").strip(" ,"):
        os.environ[KEYS_VARIABLE] = Fernet.generate_key().decode()


def _pack(token_ids: Sequence[int]) -> bytes:
    columns = np.asarray(token_ids, dtype="<u4").view("u1").reshape(-1, 4)
    return columns[:, :_TOKEN_BYTES].tobytes()


def _unpack(packed: bytes) -> tuple[int, ...]:
    columns = np.frombuffer(packed, dtype="u1").reshape(-1, _TOKEN_BYTES)
    padded = np.pad(columns, ((0, 0), (0, 4 - _TOKEN_BYTES)))
    return tuple(np.ascontiguousarray(padded).view("<u4").ravel().tolist())
