"""Runs an evaluation: tasks × budgets × samples, from the journal or the server, to outcomes.

Knows neither the command line nor how results are shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.connection import Connection
from clients.errors import CommandError
from clients.evaluation.journal import Journal
from clients.evaluation.progress import open_progress_bar
from clients.evaluation.reply import Failure, Outcome, Reply
from clients.evaluation.request_settings import Budget, Job, RequestSettings
from clients.evaluation.runner import GaveUpError, run_jobs
from clients.evaluation.task import Task


@dataclass(frozen=True, slots=True)
class Pace:
    """Concurrency of a run, and when to give up. `shows_progress` None: only on a terminal."""

    concurrency: int = 8
    give_up_after: int = 20
    shows_progress: bool | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Requests of a run. `budgets` and `samples` may grow between runs of one journal."""

    connection: Connection
    settings: RequestSettings
    tasks: Sequence[Task]
    budgets: Sequence[Budget]
    samples: int = 1

    def make_jobs(self, model: str) -> list[Job]:
        """Return all requests.

        Budgets are the innermost loop: a run that is stopped early has some results of each, and
        requests that share a prompt hit the server's prefix cache.
        """
        return [
            Job(task, budget, sample, self.settings.make_body(model, task, budget, sample))
            for sample in range(self.samples)
            for task in self.tasks
            for budget in self.budgets
        ]

    def make_configuration(self, model: str) -> dict[str, Any]:
        """Return the settings that all replies of one journal must share, by option."""
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
class EvaluationResult:
    """Outcomes of all jobs, in the order of the jobs."""

    outcomes: list[Outcome]
    configuration: dict[str, Any]


async def evaluate(
    evaluation: Evaluation,
    journal_path: Path,
    pace: Pace,
    say: Callable[[str], None],
    *,
    restart: bool = False,
) -> EvaluationResult:
    """Send the requests that the journal lacks; `say` receives lines for the operator.

    Raises:
        CommandError: the server cannot be reached or refuses, or the journal has other settings.
    """
    async with evaluation.connection.make_openai_client() as client:
        model = await evaluation.connection.fetch_model_name(client)
        jobs, configuration = evaluation.make_jobs(model), evaluation.make_configuration(model)
        with Journal(journal_path, configuration, restart=restart) as journal:
            missing = [job for job in jobs if job.key not in journal.replies]
            _report_journal(journal, len(jobs), len(missing), say)
            failures: dict[str, Failure] = {}
            with open_progress_bar(len(missing), pace.shows_progress) as bar:

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
                    raise _to_command_error(error, evaluation.connection) from error
            results: dict[str, Reply | Failure] = {**journal.replies, **failures}
    return EvaluationResult([Outcome(job, results[job.key]) for job in jobs], configuration)


def _report_journal(
    journal: Journal, num_jobs: int, num_missing: int, say: Callable[[str], None]
) -> None:
    if num_missing < num_jobs:
        say(f"{num_jobs - num_missing} of {num_jobs} replies are already in {journal.path}")
    if unused := len(journal.replies) - (num_jobs - num_missing):
        say(f"{unused} replies in {journal.path} are not used: other tasks, budgets or samples")
    if journal.num_unreadable:
        say(f"{journal.num_unreadable} lines of {journal.path} are unreadable: requested again")


def _to_command_error(error: GaveUpError, connection: Connection) -> CommandError:
    times = "" if error.num_failures == 1 else f" ({error.num_failures} failures in a row)"
    return CommandError(
        f"gave up{times}: {connection.base_url}: {error.failure.reason}; the replies so "
        "far are in the journal, and the same command resumes from there"
    )
