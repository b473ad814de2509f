"""The keys in force: read at startup, replaced as a whole when their file changes.

A file that has become invalid changes nothing; the operator gets an error line. Does not know
when to check the file, nor who requests a key.
"""

import os
import threading
import time
from pathlib import Path

from server.keys.key import AccessKey
from server.keys.reading import KeyFileError, read_keys
from server.keys.ring import KeyRing
from server.metrics import Metrics
from server.metrics.factories import closed_counter
from server.process.console import print_status
from server.settings.access import AccessSettings

VARIABLE = "THINKING_SERVER_KEYS"
Stamp = tuple[int, int, int, int]


class LiveKeys:
    """The keys in force. Invariant: once keys are configured, no reload makes them optional.

    Raises:
        KeyFileError: the configured keys cannot be used.
    """

    def __init__(
        self,
        path: Path | None,
        text: str | None,
        metrics: Metrics,
        *,
        allows_quotas: bool = True,
    ) -> None:
        self._path, self._text = path, text
        self._allows_quotas = allows_quotas
        self._reloads = closed_counter(
            metrics.registry, "key_reloads", "Reloads of keys.", "result", ("ok", "failed")
        )
        # SIGHUP and the file watcher both reload, in threads.
        self._reloading = threading.Lock()
        self._stamp = self._read_stamp()
        self._ring = self._read()

    @classmethod
    def from_settings(
        cls, settings: AccessSettings, metrics: Metrics, *, allows_quotas: bool = True
    ) -> "LiveKeys":
        """Read the keys of the options and of the environment.

        With `allows_quotas` False, keys with a quota cannot be used: nothing counts for all
        processes together.

        Raises:
            KeyFileError: the keys cannot be used, or contradict ``--allow-anonymous``.
        """
        text = os.environ.get(VARIABLE, "").strip() or None
        path = Path(settings.keys_file) if settings.keys_file else None
        if settings.allow_anonymous and (path or text):
            raise KeyFileError("--allow-anonymous cannot be combined with keys: remove one of them")
        return cls(path, text, metrics, allows_quotas=allows_quotas)

    @property
    def are_needed(self) -> bool:
        """True if requests need a key, even if all keys have been removed since."""
        return self._path is not None or self._text is not None

    @property
    def have_file(self) -> bool:
        """True if there is a key file to watch."""
        return self._path is not None

    def find(self, secret: bytes) -> AccessKey | None:
        """Return the key that `secret` belongs to; None if it is unknown or has expired."""
        return self._ring.find(secret, time.time())

    def reload_if_changed(self) -> None:
        """Reload the keys if the file has changed since the last check."""
        if self._read_stamp() != self._stamp:
            self.reload()

    def reload(self) -> bool:
        """Read the keys again; return False, keeping the old ones, if they cannot be used."""
        with self._reloading:
            self._stamp = self._read_stamp()  # first, so that a change during the read is noticed
            try:
                self._ring = self._read()
            except KeyFileError as error:
                self._reloads.labels("failed").inc()
                print_status(f"error: keys not reloaded, the old ones stay in force: {error}")
                return False
            self._reloads.labels("ok").inc()
            print_status(f"keys reloaded: {self._ring.num_keys}")
            return True

    def _read(self) -> KeyRing:
        documents = {} if self._text is None else {VARIABLE: self._text}
        if self._path is not None:
            documents[str(self._path)] = _read_text(self._path)
        ring = read_keys(documents)
        if ring.has_quotas and not self._allows_quotas:
            raise KeyFileError(
                f"{', '.join(documents)}: a key has a quota, of which each of several "
                "--api-processes would grant the whole: count it in a Redis (--quota-storage "
                "redis://…)"
            )
        return ring

    def _read_stamp(self) -> Stamp | None:
        """Return what identifies the file's current version; None if it does not exist."""
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise KeyFileError(f"{path}: is not UTF-8") from None
