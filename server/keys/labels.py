"""Keys as metric labels: a bounded number, however many keys an operator has."""

MAX_KEY_LABELS = 100
OTHER_KEYS = "other"


class KeyLabels:
    """The first `MAX_KEY_LABELS` ids that are seen have a label of their own, the rest one."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def label(self, key_id: str) -> str:
        """The label of a key: its id, or "other"."""
        if key_id not in self._ids and len(self._ids) >= MAX_KEY_LABELS:
            return OTHER_KEYS
        self._ids.add(key_id)
        return key_id
