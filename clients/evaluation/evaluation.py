"""One run: tasks × budgets × samples, from the journal or from the server, to outcomes.

Knows neither the command line nor how results are shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.connection import Connection
from clients.errors import CommandError
from clients.evaluation.journal import Journal
from clients.evaluation.progress import progress_bar
from clients.evaluation.reply import Failure, Outcome, Reply
from clients.evaluation.request_settings import Budget, Job, RequestSettings
from clients.evaluation.runner import GaveUpError, run_jobs
from clients.evaluation.task import Task


@dataclass(frozen=True, slots=True)
class Pace:
    """How hard to push, and when to stop pushing. `shows_progress` None: on a terminal."""

    concurrency: int = 8
    give_up_after: int = 20
    shows_progress: bool | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What to ask. `budgets` and `samples` may grow between runs of one journal."""

    connection: Connection
    settings: RequestSettings
    tasks: Sequence[Task]
    budgets: Sequence[Budget]
    samples: int = 1

    def jobs(self, model: str) -> list[Job]:
        """All requests. Budgets go innermost: what is stopped early has some of each, and
        requests that share a prompt meet in the server's prefix cache.
        """
        return [
            Job(task, budget, sample, self.settings.body(model, task, budget, sample))
            for sample in range(self.samples)
            for task in self.tasks
            for budget in self.budgets
        ]

    def configuration(self, model: str) -> dict[str, Any]:
        """What all replies of one journal must share, by option."""
        settings = self.settings
        return {
            "url": self.connection.base_url,
            "model": model,
            "field": settings.budget_field,
            "system": settings.system,
            "temperature": settings.temperature,
            "seed": settings.seed,
            "max_completion_tokens": settings.max_completion_tokens,
            "option": dict(settings.options),
            "extra": dict(settings.extra),
        }


@dataclass(frozen=True, slots=True)
class Finished:
    """All outcomes, in the order of the jobs."""

    outcomes: list[Outcome]
    configuration: dict[str, Any]


async def evaluate(
    evaluation: Evaluation,
    journal_path: Path,
    pace: Pace,
    say: Callable[[str], None],
    *,
    restart: bool = False,
) -> Finished:
    """Ask what the journal does not hold; `say` gets lines for the operator.

    Raises:
        CommandError: the server cannot be reached or refuses, or the journal is another's.
    """
    async with evaluation.connection.openai() as client:
        model = await evaluation.connection.model_name(client)
        jobs, configuration = evaluation.jobs(model), evaluation.configuration(model)
        with Journal(journal_path, configuration, restart=restart) as journal:
            missing = [job for job in jobs if job.key not in journal.replies]
            _say_what_is_there(journal, len(jobs), len(missing), say)
            failures: dict[str, Failure] = {}
            with progress_bar(len(missing), pace.shows_progress) as bar:

                def take(outcome: Outcome) -> None:
                    if isinstance(outcome.result, Reply):
                        journal.record(outcome.job, outcome.result)
                    else:
                        failures[outcome.job.key] = outcome.result
                    bar.add(outcome)

                try:
                    await run_jobs(
                        client,
                        missing,
                        take,
                        concurrency=pace.concurrency,
                        give_up_after=pace.give_up_after,
                    )
                except GaveUpError as error:
                    raise _gave_up(error, evaluation.connection) from error
            results: dict[str, Reply | Failure] = {**journal.replies, **failures}
    return Finished([Outcome(job, results[job.key]) for job in jobs], configuration)


def _say_what_is_there(
    journal: Journal, num_jobs: int, num_missing: int, say: Callable[[str], None]
) -> None:
    if num_missing < num_jobs:
        say(f"{num_jobs - num_missing} of {num_jobs} replies are in {journal.path} already")
    if unused := len(journal.replies) - (num_jobs - num_missing):
        say(f"{unused} replies in {journal.path} are of other tasks, budgets or samples: not used")
    if journal.num_unreadable:
        say(f"{journal.num_unreadable} lines of {journal.path} are unreadable: asked again")


def _gave_up(error: GaveUpError, connection: Connection) -> CommandError:
    times = "" if error.num_failures == 1 else f" ({error.num_failures} failures in a row)"
    return CommandError(
        f"gave up{times}: {connection.base_url}: {error.failure.reason}; what was answered is "
        "in the journal, the same command goes on from there"
    )
