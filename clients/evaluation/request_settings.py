"""What every request of a run has in common, and the body that comes of it.

Knows field names only as far as the command line names them: any server's spelling of a
budget will do. Sends nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clients.errors import UsageError
from clients.evaluation.task import Task
from clients.json_argument import set_field

# A count, an effort's name, or None: the field is left out, the server's default holds.
Budget = int | str | None
DEFAULT_BUDGET = "default"
DEFAULT_FIELD = "max_thinking_tokens"
OPTIONS_FIELD = "thinking_options"


def parse_budgets(text: str) -> tuple[Budget, ...]:
    """``0,16,high,default`` as budgets, in the order given.

    Raises:
        ValueError: one is empty or comes twice.
    """
    budgets = tuple(_budget(part.strip()) for part in text.split(","))
    if len(set(budgets)) < len(budgets):
        raise ValueError(f"{text!r} names a budget twice")
    return budgets


def seed_of(seed: int, task_id: str, sample: int) -> int:
    """The seed of one request, from 0 to 2**31 - 1.

    Each task has its own: under one seed for all, an engine draws the same noise for every
    task, and the accuracy of 200 tasks swings like that of a few (seen: 68 % and 93 % with
    two seeds, 87 % without any).
    """
    digest = hashlib.sha256(f"{seed}/{task_id}".encode()).digest()
    return (int.from_bytes(digest[:4]) + sample) % 2**31


def budget_name(budget: Budget) -> str:
    """As on the command line."""
    return DEFAULT_BUDGET if budget is None else str(budget)


def _budget(text: str) -> Budget:
    if not text:
        raise ValueError("a budget is empty")
    try:
        return int(text)
    except ValueError:
        return None if text == DEFAULT_BUDGET else text


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """`None` leaves a field out. `budget_field` and the keys of `extra` may have dots."""

    budget_field: str = DEFAULT_FIELD
    system: str | None = None
    temperature: float | None = None
    seed: int | None = None
    max_completion_tokens: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def body(self, model: str, task: Task, budget: Budget, sample: int) -> dict[str, Any]:
        """The body of one request; samples differ in their seeds.

        Raises:
            UsageError: two options set the same field.
        """
        body: dict[str, Any] = {"model": model, "messages": task.messages_with(self.system)}
        named = {
            "temperature": self.temperature,
            "seed": None if self.seed is None else seed_of(self.seed, task.task_id, sample),
            "max_completion_tokens": self.max_completion_tokens,
            OPTIONS_FIELD: dict(self.options) or None,
            self.budget_field: budget,
        }
        # Objects of --extra first: a field with dots is added to the object it leads into.
        wanted = [*self.extra.items(), *((k, v) for k, v in named.items() if v is not None)]
        for path, value in json.loads(json.dumps(wanted)):
            try:
                set_field(body, path, value)
            except ValueError as error:
                raise UsageError(str(error)) from error
        return body


@dataclass(frozen=True, slots=True)
class Job:
    """One request to be made: a task at a budget, the `sample`-th time (from 0)."""

    task: Task
    budget: Budget
    sample: int
    body: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The same for the same request; the expected answer is no part of it."""
        spelt = json.dumps([self.task.task_id, self.sample, self.body], sort_keys=True)
        return hashlib.sha256(spelt.encode()).hexdigest()[:32]
