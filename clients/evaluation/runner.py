"""Makes the requests, a few at a time.

Knows jobs, replies and the openai client (whose retries it uses); not what replies are
for, nor where they are kept.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clients.connection import reason_of
from clients.evaluation.reply import EmptyReplyError, Failure, Outcome, Reply, read_completion
from clients.evaluation.request_settings import Job

if TYPE_CHECKING:
    import openai

# With these no other request of the run can succeed: no key, no right, no such model or path.
FINAL_STATUS = frozenset({401, 403, 404})


class GaveUpError(Exception):
    """The run was ended because of `failure`; replies until then have been handed out."""

    def __init__(self, failure: Failure, num_failures: int) -> None:
        super().__init__(failure.reason)
        self.failure = failure
        self.num_failures = num_failures


@dataclass(slots=True)
class Patience:
    """How many failures in a row are borne; 0: any number."""

    limit: int
    num_failures: int = 0

    def bear(self, result: Reply | Failure) -> None:
        """Raise GaveUpError where `result` is one failure too many."""
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
    """Ask all of `jobs`, in order, `concurrency` at a time; `take` gets each as it ends.

    Raises:
        GaveUpError: so many failures in a row, or one that all others would share.
    """
    patience = Patience(give_up_after)
    waiting = iter(jobs)

    async def work(jobs: Iterator[Job]) -> None:
        for job in jobs:
            result = await _ask(client, job)
            take(Outcome(job, result))
            patience.bear(result)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(jobs))):
                group.create_task(work(waiting))
    except* GaveUpError as errors:
        raise errors.exceptions[0] from None


async def _ask(client: "openai.AsyncOpenAI", job: Job) -> Reply | Failure:
    import openai

    # All but these two as they are: the client knows neither our fields nor other servers'.
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
        return Failure(reason_of(error), error.status_code in FINAL_STATUS)
    except (openai.OpenAIError, EmptyReplyError, ValueError) as error:
        return Failure(reason_of(error))
