"""Looks up the key of a secret in a time that reveals nothing about other secrets.

Every digest is hashed again under a random key of this ring (HMAC-SHA256, "double HMAC"). No
client can predict or control the result: neither the bucket that is searched nor the byte at
which a comparison could stop reveals anything about a digest. The comparison still takes constant
time (``hmac.compare_digest``). It covers all keys of the bucket; an empty bucket is compared with
a tag that no secret has. A lookup among ten thousand keys takes as long as one among one key.
Does not know headers.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from server.keys.entry import KeyEntry
from server.keys.key import AccessKey
from server.keys.secret import parse_digest
from server.settings.quota import Quota

_BUCKET_BYTES = 2


@dataclass(frozen=True, slots=True)
class _Slot:
    tag: bytes = field(repr=False)
    key: AccessKey | None
    expires: float | None  # Unix time


class KeyRing:
    """An immutable set of keys. `has_quotas`: one of them has a quota."""

    def __init__(self, entries: Iterable[KeyEntry]) -> None:
        self._tag_key = secrets.token_bytes(32)
        self._empty_bucket = (_Slot(secrets.token_bytes(32), None, None),)
        self._buckets: dict[bytes, tuple[_Slot, ...]] = {}
        self.num_keys = 0
        self.has_quotas = False
        for entry in entries:
            self._add(entry)

    def find(self, secret: bytes, now: float) -> AccessKey | None:
        """Return the key of `secret`; None if unknown or expired at `now` (Unix time, seconds)."""
        tag = self._tag(hashlib.sha256(secret).digest())
        found = None
        for slot in self._buckets.get(tag[:_BUCKET_BYTES], self._empty_bucket):
            if hmac.compare_digest(slot.tag, tag):
                found = slot  # and continue: every comparison is made
        if found is None or (found.expires is not None and found.expires <= now):
            return None
        return found.key

    def _add(self, entry: KeyEntry) -> None:
        key = entry.to_key()
        self.num_keys += 1
        self.has_quotas |= key.quota != Quota()
        for secret in entry.hashes:
            tag = self._tag(parse_digest(secret.hash))
            expires = secret.expires.timestamp() if secret.expires is not None else None
            prefix = tag[:_BUCKET_BYTES]
            self._buckets[prefix] = (*self._buckets.get(prefix, ()), _Slot(tag, key, expires))

    def _tag(self, digest: bytes) -> bytes:
        return hmac.digest(self._tag_key, digest, "sha256")
