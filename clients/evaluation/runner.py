"""Sends the requests, several at a time.

Knows jobs, replies and the openai client (whose retries it uses); not what replies are
for, or where they are stored.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clients.connection import describe_error
from clients.evaluation.reply import EmptyReplyError, Failure, Outcome, Reply, read_completion
from clients.evaluation.request_settings import Job

if TYPE_CHECKING:
    import openai

# After these no other request of the run can succeed: bad key, no permission, unknown model.
FINAL_STATUS = frozenset({401, 403, 404})


class GaveUpError(Exception):
    """Run that ended early because of `failure`; earlier outcomes have been passed on."""

    def __init__(self, failure: Failure, num_failures: int) -> None:
        super().__init__(failure.reason)
        self.failure = failure
        self.num_failures = num_failures


@dataclass(slots=True)
class FailureLimit:
    """Limit of consecutive failures; 0: no limit."""

    limit: int
    num_failures: int = 0

    def check(self, result: Reply | Failure) -> None:
        """Raise GaveUpError if `result` is one failure too many."""
        if isinstance(result, Reply):
            self.num_failures = 0
            return
        self.num_failures += 1
        if result.is_final or self.num_failures == self.limit:
            raise GaveUpError(result, self.num_failures)


async def run_jobs(
    client: "openai.AsyncOpenAI",
    jobs: Sequence[Job],
    take: Callable[[Outcome], None],
    *,
    concurrency: int,
    give_up_after: int = 0,
) -> None:
    """Send all `jobs` in order, `concurrency` at a time; `take` receives each outcome.

    Raises:
        GaveUpError: too many consecutive failures, or one that all other requests would share.
    """
    failure_limit = FailureLimit(give_up_after)
    waiting = iter(jobs)

    async def work(jobs: Iterator[Job]) -> None:
        for job in jobs:
            result = await _send(client, job)
            take(Outcome(job, result))
            failure_limit.check(result)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(jobs))):
                group.create_task(work(waiting))
    except BaseExceptionGroup as errors:
        # Not `except*`: what it raises is a group again in some versions of Python.
        given_up, others = errors.split(GaveUpError)
        if given_up is None or others is not None:
            raise
        raise given_up.exceptions[0] from None


async def _send(client: "openai.AsyncOpenAI", job: Job) -> Reply | Failure:
    import openai

    # extra_body for all but these two: the client knows neither our fields nor other servers'.
    extra: dict[str, Any] = {**job.body}
    model, messages = extra.pop("model"), extra.pop("messages")
    begin = time.perf_counter()
    try:
        raw = await client.chat.completions.with_raw_response.create(
            model=model, messages=messages, extra_body=extra
        )
        seconds = time.perf_counter() - begin
        return read_completion(raw.parse(), seconds, raw.retries_taken)
    except openai.APIStatusError as error:
        return Failure(describe_error(error), error.status_code in FINAL_STATUS)
    except (openai.OpenAIError, EmptyReplyError, ValueError) as error:
        return Failure(describe_error(error))
