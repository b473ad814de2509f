"""Sealed thoughts of replies whose client may have hung up: bounded, in memory, lost at the end.

The least recently used are removed first. Each key sees its own only. Does not know what a seal
contains.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cachetools import TTLCache

SealedChoices = Sequence[Mapping[str, Any]]


class SealedThoughtStore:
    """Holds the receipts of at most `max_bytes`, none older than `minutes`.

    `max_bytes` 0: keeps nothing.
    """

    def __init__(
        self, max_bytes: int, minutes: float, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes = max_bytes
        self._kept: TTLCache[tuple[str, str], SealedChoices] = TTLCache(
            max_bytes, minutes * 60, timer, getsizeof=lambda receipts: len(json.dumps(receipts))
        )

    def put(self, key_id: str, reply_id: str, receipts: SealedChoices) -> None:
        """Keep the receipts of a reply's choices, unless they alone are larger than the store."""
        if len(json.dumps(receipts)) <= self._max_bytes:
            self._kept[key_id, reply_id] = receipts

    def get(self, key_id: str, reply_id: str) -> SealedChoices | None:
        """Return the receipts of a reply; None: not kept, or no longer."""
        return self._kept.get((key_id, reply_id))
