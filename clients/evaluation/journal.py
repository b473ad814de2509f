"""Replies on disk, so that an interrupted run need not repeat its requests.

Append-only JSON lines: a header with the configuration, then one reply per line. Failures are
not written, so they are retried. Knows nothing of scores: they are computed from the replies.
"""

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from pydantic import BaseModel, ValidationError

from clients.errors import UsageError
from clients.evaluation.reply import Reply
from clients.evaluation.request_settings import Job, format_budget

VERSION = 1
Configuration = Mapping[str, Any]  # JSON values; changes are named by their keys


class JournalHeader(BaseModel):
    """First line of a journal."""

    journal: int
    configuration: dict[str, Any]


class JournalLine(BaseModel):
    """Later line of a journal; `key` identifies the request, the rest is for human readers."""

    key: str
    task: str
    budget: str
    sample: int
    reply: Reply


class Journal:
    """Journal file, open within a ``with`` block, by one process at a time."""

    def __init__(self, path: Path, configuration: Configuration, *, restart: bool = False) -> None:
        self.path = path
        self.replies: dict[str, Reply] = {}
        self.num_unreadable = 0
        self._configuration: Configuration = json.loads(json.dumps(configuration))
        self._restart = restart
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        """Open the file, creating it if necessary, and read its replies.

        Raises:
            UsageError: it cannot be written, another process writes it, or it belongs to
                another configuration.
        """
        try:
            file = self.path.open("a+b")
        except OSError as error:
            raise UsageError(f"{self.path}: {error.strerror}") from error
        self._file = file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._load(file)
        except BlockingIOError as error:
            file.close()
            raise UsageError(f"{self.path}: another run is writing it") from error
        except BaseException:
            file.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def record(self, job: Job, reply: Reply) -> None:
        """Write `reply` at once, so that it survives the end of this process."""
        self.replies[job.key] = reply
        line = JournalLine(
            key=job.key,
            task=job.task.task_id,
            budget=format_budget(job.budget),
            sample=job.sample,
            reply=reply,
        )
        self._write(line)

    def _write(self, line: BaseModel) -> None:
        assert self._file is not None
        self._file.write(line.model_dump_json().encode() + b"\n")
        self._file.flush()

    def _load(self, file: BinaryIO) -> None:
        if self._restart:
            file.truncate(0)
        file.seek(0)
        content = file.read()
        # Text after the last line end is a line whose writing was interrupted.
        whole = content[: content.rfind(b"\n") + 1]
        header, *lines = whole.splitlines() or [b""]
        if header or content[: len(_BEGIN)] != _BEGIN[: len(content)]:
            self._check(header)
        for line in lines:
            self._read(line)
        file.truncate(len(whole))
        if not header:
            self._write(JournalHeader(journal=VERSION, configuration=dict(self._configuration)))

    def _read(self, text: bytes) -> None:
        try:
            line = JournalLine.model_validate_json(text)
        except ValidationError:
            self.num_unreadable += 1
            return
        self.replies[line.key] = line.reply

    def _check(self, text: bytes) -> None:
        try:
            header = JournalHeader.model_validate_json(text)
        except ValidationError as error:
            raise UsageError(f"{self.path}: not a journal of thinking eval") from error
        if header.journal != VERSION:
            raise UsageError(f"{self.path}: written by another version; {_WAY_OUT}")
        if changes := _describe_changes(header.configuration, self._configuration):
            raise UsageError(f"{self.path}: has other settings ({changes}); {_WAY_OUT}")


# Start of a header: distinguishes a truncated one from another kind of file.
_BEGIN = b'{"journal":'
_WAY_OUT = "choose another --output, or start over with --restart"


def _describe_changes(before: Configuration, now: Configuration) -> str:
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(
        f"{name}: {json.dumps(before.get(name))} then, {json.dumps(now.get(name))} now"
        for name in names
    )
