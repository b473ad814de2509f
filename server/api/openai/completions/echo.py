"""Echo of the prompt, which precedes the answer if requested: its text and log-probabilities.

The engine computes the log-probabilities in a separate request, which ends after one token; that
token is not part of any reply. Of the wire, knows only the lists of log-probabilities.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from server.api.openai.completions.logprobs import TokenLists, TokenListsWriter
from server.choice.token_text import text_offsets
from server.engine.protocol import EngineRequest, SamplingSettings, TokenLogprobs
from server.errors.internal import AbortedError
from server.reply.reply import Reply
from thinking.plan import ThinkingPlan


@dataclass(frozen=True, slots=True)
class Echo:
    """Prompt as it is shown; `lists` is None without log-probabilities."""

    text: str = ""
    lists: TokenLists | None = None


async def read_echoes(
    replies: Sequence[Reply],
    prompts: Sequence[str | list[int]],
    writer: TokenListsWriter | None,
) -> list[Echo]:
    """Return the echoes of all prompts, read concurrently; a failure cancels the others.

    Raises:
        EngineError: see :meth:`server.engine.protocol.Engine.generate`.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_read_echo(reply, prompt, writer))
                for reply, prompt in zip(replies, prompts, strict=True)
            ]
    except ExceptionGroup as failed:  # the first failure cancelled the other tasks
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]


async def _read_echo(
    reply: Reply, prompt: str | list[int], writer: TokenListsWriter | None
) -> Echo:
    token_ids = reply.job.prompt.visible_token_ids
    tokenizer = reply.model.engine.tokenizer
    # A text's only special tokens are those that the tokenizer has put before it.
    is_text = isinstance(prompt, str)
    offsets, decoded = await reply.model.run_in_tokenizer_thread(
        lambda: text_offsets(tokenizer, token_ids, shows_special=not is_text)
    )
    text = prompt if isinstance(prompt, str) else decoded
    if writer is None:
        return Echo(text)
    entries = await _measure_prompt(reply, writer.num_top)
    # A tokenizer may lengthen a text (by a leading space, for example).
    within = [min(offset, len(text)) for offset in offsets]
    return Echo(text, writer.write_prompt(token_ids, entries, within))


async def _measure_prompt(reply: Reply, num_top: int) -> Sequence[TokenLogprobs | None]:
    """Return the log-probabilities of the prompt's tokens; None for the first one."""
    request = EngineRequest(
        request_id=f"{reply.job.request_id}-echo",
        prompt_token_ids=reply.job.prompt.visible_token_ids,
        sampling=SamplingSettings(max_tokens=1, temperature=0.0),
        plan=ThinkingPlan(),
        num_prompt_logprobs=num_top,
    )
    reply.account.observe_start(len(request.prompt_token_ids))
    async with aclosing(reply.model.engine.generate(request)) as outputs:
        async for output in outputs:
            if output.prompt_logprobs is not None:
                return output.prompt_logprobs
    raise AbortedError("the engine ended without the prompt's log-probabilities")
