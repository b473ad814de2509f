"""Known answers by question: a JSONL file of ``{"prompt": …, "answer": …}``.

Lines are those of a task file, except that "prompt" may replace "question" (a text) or
"messages" (a list); their scoring works here too. Knows no server.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clients.errors import UsageError
from clients.evaluation.scoring import ScoringError, ScoringRule
from clients.evaluation.task import Task
from clients.evaluation.task_line import TaskLineError, read_line
from clients.traces.trace import Conversation, to_conversation


@dataclass(slots=True)
class Reference:
    """Tasks by question. `broken`: (line number from 1, reason)."""

    tasks: dict[Conversation, Task] = field(default_factory=dict)
    broken: list[tuple[int, str]] = field(default_factory=list)


def read_reference(path: Path, default: ScoringRule) -> Reference:
    """Read `path`; `default` scores lines without their own scoring.

    Raises:
        UsageError: the file cannot be read, or has no valid line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    result = Reference()
    for number, text in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            _add(result, read_line(_to_task_line(text)).to_task(number, "group", default))
        except (TaskLineError, ScoringError) as error:
            result.broken.append((number, str(error)))
    if not result.tasks:
        first = f"; line {result.broken[0][0]}: {result.broken[0][1]}" if result.broken else ""
        raise UsageError(f"{path}: no line has a prompt and an answer{first}")
    return result


def _to_task_line(text: bytes) -> bytes:
    """Return the line with a task file's field names; its errors are found when it is read."""
    try:
        line: Any = json.loads(text)
    except ValueError:
        return text
    if not isinstance(line, dict) or "prompt" not in line:
        return text
    name = "messages" if isinstance(line["prompt"], list) else "question"
    if name in line:
        raise TaskLineError(f"has both prompt and {name}")
    return json.dumps({**line, name: line.pop("prompt")}).encode()


def _add(result: Reference, task: Task) -> None:
    question = to_conversation(
        (_get_text(m, "role"), _get_text(m, "content")) for m in task.messages
    )
    known = result.tasks.get(question)
    if known is not None and known.answers != task.answers:
        raise TaskLineError("repeats the prompt of an earlier line with another answer")
    result.tasks.setdefault(question, task)


def _get_text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    if not isinstance(value, str):
        raise TaskLineError(f"messages: {name} should be a string")
    return value
