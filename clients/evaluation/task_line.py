"""Lines of a task file: our own format, and GSM8K's, which is nearly the same.

    {"question": "17 + 25 = ?", "answer": "42"}
    {"messages": […], "answer": ["4", "2"], "scoring": {"kind": "blanks", "pattern": "= (\\\\d)"}}
    {"question": "…", "answer": "17 and 25 make 42.\\n#### 42"}

Knows only one line at a time.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)

from clients.evaluation.scoring import ScoringError, ScoringKind, ScoringRule
from clients.evaluation.task import Task

# Precedes the result in GSM8K's worked answers.
GSM8K_MARK = "####"
Value = StrictStr | StrictInt | StrictFloat


class TaskLineError(ValueError):
    """Line that is not a task; the message says why."""


class ScoringFields(BaseModel):
    """``scoring`` of a line; missing fields come from the command line."""

    model_config = ConfigDict(extra="forbid")

    kind: ScoringKind | None = None
    pattern: StrictStr | None = None
    tolerance: Annotated[Decimal, Field(ge=0)] | None = None

    def apply_to(self, default: ScoringRule) -> ScoringRule:
        """Return `default`, changed by these fields."""
        return ScoringRule(
            self.kind or default.kind,
            default.pattern if self.pattern is None else compile_pattern(self.pattern),
            default.tolerance if self.tolerance is None else self.tolerance,
        )


class TaskLine(BaseModel):
    """Fields of a line; others are kept in ``model_extra``."""

    model_config = ConfigDict(extra="allow")

    question: Annotated[StrictStr, Field(min_length=1)] | None = None
    messages: Annotated[list[dict[str, Any]], Field(min_length=1)] | None = None
    answer: Value | Annotated[list[Value], Field(min_length=1)] | None = None
    scoring: Annotated[
        ScoringFields | None,
        BeforeValidator(lambda value: {"kind": value} if isinstance(value, str) else value),
    ] = None
    id: StrictStr | StrictInt | None = None

    def to_task(self, number: int, group_field: str, default: ScoringRule) -> Task:
        """Return the task; the line `number` is its id if it has none."""
        answers, rule = self._make_answers(), default
        if self.scoring is not None:
            rule = self.scoring.apply_to(default)
        elif answers and GSM8K_MARK in answers[0]:
            answers = (answers[0].rpartition(GSM8K_MARK)[2].strip(),)
            rule = ScoringFields(kind=ScoringKind.NUMERIC).apply_to(default)
        group = (self.model_extra or {}).get(group_field)
        return Task(
            task_id=str(number if self.id is None else self.id),
            messages=self._make_messages(),
            answers=answers,
            rule=rule.resolve(answers),
            group=None if group is None else str(group),
        )

    def _make_messages(self) -> tuple[dict[str, Any], ...]:
        if (self.question is None) == (self.messages is None):
            raise TaskLineError("should have either question or messages")
        if self.messages is None:
            return ({"role": "user", "content": self.question},)
        if not all(isinstance(message.get("role"), str) for message in self.messages):
            raise TaskLineError("each message needs a role")
        return tuple(self.messages)

    def _make_answers(self) -> tuple[str, ...]:
        if self.answer is None:
            return ()
        values = self.answer if isinstance(self.answer, list) else [self.answer]
        return tuple(str(value) for value in values)


def read_line(text: bytes) -> TaskLine:
    """Parse one line.

    Raises:
        TaskLineError: it is not UTF-8, not JSON, or not a task.
    """
    try:
        return TaskLine.model_validate_json(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise TaskLineError(f"not UTF-8 (byte {error.start + 1})") from error
    except ValidationError as error:
        raise TaskLineError(_describe_error(error)) from error


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return `pattern`, compiled.

    Raises:
        ScoringError: it is not a regular expression.
    """
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ScoringError(f"pattern {pattern!r}: {error}") from error


def _describe_error(error: ValidationError) -> str:
    """Return the first problem, with its place in the line."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where = _format_path(
        [part for part in problem["loc"] if isinstance(part, int) or part.islower()]
    )
    return f"{where}: {problem['msg']}" if where else problem["msg"]


def _format_path(parts: Sequence[int | str]) -> str:
    # pydantic's paths also name union members ("list[union[str,int]]"); fields are identifiers.
    return ".".join(
        str(part) for part in parts if str(part).isidentifier() or isinstance(part, int)
    )
