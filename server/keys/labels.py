"""Metric labels for keys: a bounded number, however many keys are configured."""

MAX_KEY_LABELS = 100
OTHER_KEYS = "other"


class KeyLabels:
    """Gives the first `MAX_KEY_LABELS` ids it sees their own label; the rest share one."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def label(self, key_id: str) -> str:
        """Return the label of a key: its id, or "other"."""
        if key_id not in self._ids and len(self._ids) >= MAX_KEY_LABELS:
            return OTHER_KEYS
        self._ids.add(key_id)
        return key_id
