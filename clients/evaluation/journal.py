"""The replies so far, on disk: what a run that was interrupted need not ask again.

Append-only JSON lines: a header with the configuration, then one reply a line. A failure is
not written, so it is tried again. Knows nothing of scores: they are made from the replies.
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
from clients.evaluation.request_settings import Job, budget_name

VERSION = 1
Configuration = Mapping[str, Any]  # JSON values; changes are named by their keys


class JournalHeader(BaseModel):
    """The first line."""

    journal: int
    configuration: dict[str, Any]


class JournalLine(BaseModel):
    """Any other line; budget, task and sample are for people, `key` is what counts."""

    key: str
    task: str
    budget: str
    sample: int
    reply: Reply


class Journal:
    """Open between ``with`` and its end, by one process at a time."""

    def __init__(self, path: Path, configuration: Configuration, *, restart: bool = False) -> None:
        self.path = path
        self.replies: dict[str, Reply] = {}
        self.num_unreadable = 0
        self._configuration: Configuration = json.loads(json.dumps(configuration))
        self._restart = restart
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        """Open the file, made if need be, and read the replies that it holds.

        Raises:
            UsageError: it cannot be written, another process writes it, or it is that of
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
        """Keep `reply`, at once: it survives the end of this process."""
        self.replies[job.key] = reply
        line = JournalLine(
            key=job.key,
            task=job.task.task_id,
            budget=budget_name(job.budget),
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
        # What follows the last line end was cut off in the middle of being written.
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
        if changes := _changes(header.configuration, self._configuration):
            raise UsageError(f"{self.path}: of a run with other settings ({changes}); {_WAY_OUT}")


# Of a header: tells one that was cut off from another kind of file.
_BEGIN = b'{"journal":'
_WAY_OUT = "choose another --output, or begin anew with --restart"


def _changes(before: Configuration, now: Configuration) -> str:
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return ", ".join(
        f"{name}: {json.dumps(before.get(name))} then, {json.dumps(now.get(name))} now"
        for name in names
    )
