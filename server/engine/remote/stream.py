"""Reads the outputs of a request from an engine's stream of events."""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import replace

import aiohttp

from server.engine.protocol import EngineOutput, EngineRequest
from server.engine.remote.errors import WireError
from server.engine.remote.wire import EventSplitter, Frame, decode_output


async def read_stream(
    response: aiohttp.ClientResponse, request: EngineRequest, vocab_size: int
) -> AsyncGenerator[EngineOutput, None]:
    """Yield outputs up to the last one; what comes in one piece is one output.

    The last one waits for the usage that follows it. A stream that breaks off just there has ended.

    Raises:
        WireError: see :func:`decode_output`; or the engine did not write what its sampler must
            force.
        EngineFailedError: the engine failed, or ended the request before its end.
        aiohttp.ClientError: the connection is lost.
    """
    splitter, last, first = EventSplitter(), None, True
    try:
        async for piece in response.content.iter_any():
            output = _join(splitter.push(piece), request, vocab_size)
            if output is None:
                continue
            if last is not None:
                output = replace(last, num_cached_tokens=output.num_cached_tokens)
            elif first and output.token_ids:
                _check_obeyed(request, output)
                first = False
            if output.finish_reason is None:
                yield output
                continue
            last = output
            if output.num_cached_tokens is not None:
                break
    except aiohttp.ClientError:
        if last is None:
            raise
    if last is not None:
        yield last


def _join(frames: Iterable[Frame], request: EngineRequest, vocab_size: int) -> EngineOutput | None:
    """Return the outputs of several frames as one; None: they have none."""
    joined: EngineOutput | None = None
    for frame in frames:
        output = decode_output(frame, request, vocab_size)
        if output is None and frame.num_cached_tokens is not None:
            output = EngineOutput((), num_cached_tokens=frame.num_cached_tokens)
        if joined is None or output is None:
            joined = joined or output
            continue
        joined = EngineOutput(
            [*joined.token_ids, *output.token_ids],
            [*(joined.logprobs or ()), *output.logprobs] if output.logprobs else joined.logprobs,
            output.finish_reason or joined.finish_reason,
            num_cached_tokens=output.num_cached_tokens,
        )
    return joined


def _check_obeyed(request: EngineRequest, output: EngineOutput) -> None:
    """Check that a thought is opened as the plan says, which costs nothing."""
    plan = request.plan
    is_forced = plan.opens and plan.close_at > 0 and not plan.prior_token_ids
    if is_forced and output.token_ids[0] != plan.script[0]:
        raise WireError("the engine does not have the sampler", is_final=True)
