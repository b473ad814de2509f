"""Finding the key that a secret opens, in a time that tells nothing of other secrets.

Every digest is hashed again under a random key of this ring (HMAC-SHA256, "double HMAC"). Nobody
outside can know, or steer, what comes out: neither the place where it is looked for nor the byte
at which a comparison could end tells anything of a digest. The comparison is in constant time all
the same (``hmac.compare_digest``), over all keys of that place, and at an empty place over one
that nobody has. So ten thousand keys cost what one costs. Knows no header.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from server.keys.entry import KeyEntry
from server.keys.key import AccessKey
from server.keys.secret import digest_in

_PLACE_BYTES = 2


@dataclass(frozen=True, slots=True)
class _Slot:
    tag: bytes = field(repr=False)
    key: AccessKey | None
    expires: float | None  # Unix time


class KeyRing:
    """The keys of one moment; never changed."""

    def __init__(self, entries: Iterable[KeyEntry]) -> None:
        self._tag_key = secrets.token_bytes(32)
        self._nobody = (_Slot(secrets.token_bytes(32), None, None),)
        self._places: dict[bytes, tuple[_Slot, ...]] = {}
        self.num_keys = 0
        for entry in entries:
            self._add(entry)

    def find(self, secret: bytes, now: float) -> AccessKey | None:
        """The key that `secret` opens at `now`, Unix time in seconds."""
        tag = self._tag(hashlib.sha256(secret).digest())
        found = None
        for slot in self._places.get(tag[:_PLACE_BYTES], self._nobody):
            if hmac.compare_digest(slot.tag, tag):
                found = slot  # and go on: no comparison is left out
        if found is None or (found.expires is not None and found.expires <= now):
            return None
        return found.key

    def _add(self, entry: KeyEntry) -> None:
        key = entry.to_key()
        self.num_keys += 1
        for secret in entry.hashes:
            tag = self._tag(digest_in(secret.hash))
            expires = secret.expires.timestamp() if secret.expires is not None else None
            place = tag[:_PLACE_BYTES]
            self._places[place] = (*self._places.get(place, ()), _Slot(tag, key, expires))

    def _tag(self, digest: bytes) -> bytes:
        return hmac.digest(self._tag_key, digest, "sha256")
