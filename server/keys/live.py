"""The keys that hold now: read at the start, replaced as a whole when their file changes.

A file that has become wrong changes nothing but a line for the operator. Does not know when to
look, nor who asks.
"""

import os
import threading
import time
from pathlib import Path

from server.keys.key import AccessKey
from server.keys.reading import KeyFileError, read_keys
from server.keys.ring import KeyRing
from server.metrics import Metrics
from server.metrics.making import closed_counter
from server.process.console import say
from server.settings.access import AccessSettings

VARIABLE = "THINKING_SERVER_KEYS"
Stamp = tuple[int, int, int, int]


class LiveKeys:
    """Invariant: once keys are configured, no reload can make them not needed.

    Raises:
        KeyFileError: the keys that are configured cannot be used.
    """

    def __init__(self, path: Path | None, text: str | None, metrics: Metrics) -> None:
        self._path, self._text = path, text
        self._reloads = closed_counter(
            metrics.registry, "key_reloads", "Reloads of keys.", "result", ("ok", "failed")
        )
        # Of SIGHUP and the file's watcher, which run in threads.
        self._reloading = threading.Lock()
        self._stamp = self._stamp_now()
        self._ring = self._read()

    @classmethod
    def configured(cls, settings: AccessSettings, metrics: Metrics) -> "LiveKeys":
        """Those of the options and of the environment."""
        text = os.environ.get(VARIABLE, "").strip() or None
        path = Path(settings.keys_file) if settings.keys_file else None
        if settings.allow_anonymous and (path or text):
            raise KeyFileError("--allow-anonymous does not go with keys: leave one of them out")
        return cls(path, text, metrics)

    @property
    def are_needed(self) -> bool:
        """Whether a request needs a key: even where all keys have been taken away."""
        return self._path is not None or self._text is not None

    @property
    def have_file(self) -> bool:
        """Whether there is something to watch."""
        return self._path is not None

    def find(self, secret: bytes) -> AccessKey | None:
        """The key that `secret` opens now."""
        return self._ring.find(secret, time.time())

    def reload_if_changed(self) -> None:
        """Look whether the file is another one than at the last look, and read it if so."""
        if self._stamp_now() != self._stamp:
            self.reload()

    def reload(self) -> bool:
        """Read the keys again; False, and the old ones hold, where they cannot be used."""
        with self._reloading:
            self._stamp = self._stamp_now()  # before it is read: a change meanwhile is seen
            try:
                self._ring = self._read()
            except KeyFileError as error:
                self._reloads.labels("failed").inc()
                say(f"error: keys not reloaded, the old ones hold: {error}")
                return False
            self._reloads.labels("ok").inc()
            say(f"keys reloaded: {self._ring.num_keys}")
            return True

    def _read(self) -> KeyRing:
        documents = {} if self._text is None else {VARIABLE: self._text}
        if self._path is not None:
            documents[str(self._path)] = _text_of(self._path)
        return read_keys(documents)

    def _stamp_now(self) -> Stamp | None:
        """None: there is no such file, for now."""
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise KeyFileError(f"{path}: is not UTF-8") from None
