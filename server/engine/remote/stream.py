"""Reads the outputs of a request from an engine's stream of events."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable
from dataclasses import replace

import aiohttp

from server.engine.protocol import EngineOutput, EngineRequest
from server.engine.remote.errors import EngineLostError, WireError
from server.engine.remote.wire import EventSplitter, Frame, decode_output

# The longest that a last token waits for the usage, and a connection for being used again.
USAGE_SECONDS = 2.0


async def read_stream(
    response: aiohttp.ClientResponse,
    request: EngineRequest,
    vocab_size: int,
    stop_token_ids: Collection[int],
) -> AsyncGenerator[EngineOutput, None]:
    """Yield outputs up to the last one; what comes in one piece is one output.

    The last one waits for the usage that follows it. A stream that breaks off just there has ended.
    `stop_token_ids` are the model's own.

    Raises:
        WireError: see :func:`decode_output`; or the engine did not write what its sampler must
            force, or more or less than it was asked for.
        EngineFailedError: the engine failed, or ended the request before its end.
        aiohttp.ClientError: the connection is lost.
    """
    splitter, num_written = EventSplitter(), 0
    async for piece in response.content.iter_any():
        output, error = _join(splitter.push(piece), request, vocab_size)
        if output is None:
            if error is not None:
                raise error
            continue
        if output.token_ids and not num_written:
            _check_obeyed(request, output)
        num_written += len(output.token_ids)
        _check_length(request, output, num_written, stop_token_ids)
        if output.finish_reason is None:
            yield output
            if error is not None:
                raise error
            continue
        yield await _read_usage(response, splitter, output)
        return


async def _read_usage(
    response: aiohttp.ClientResponse, splitter: EventSplitter, last: EngineOutput
) -> EngineOutput:
    """Return the last output with the usage. Whatever else goes wrong: the reply is complete.

    Reads to the end of the response: only then can its connection be used again.
    """
    try:
        async with asyncio.timeout(USAGE_SECONDS):
            async for piece in response.content.iter_any():
                for frame in splitter.push(piece):
                    if frame.num_cached_tokens is not None:
                        last = replace(last, num_cached_tokens=frame.num_cached_tokens)
    except (aiohttp.ClientError, TimeoutError, EngineLostError):
        pass
    return last


def _join(
    frames: Iterable[Frame], request: EngineRequest, vocab_size: int
) -> tuple[EngineOutput | None, EngineLostError | None]:
    """Return the outputs of several frames as one, up to an error; None: they have none."""
    joined: EngineOutput | None = None
    try:
        for frame in frames:
            output = decode_output(frame, request, vocab_size)
            if output is None and frame.num_cached_tokens is not None:
                output = EngineOutput((), num_cached_tokens=frame.num_cached_tokens)
            if joined is not None and output is not None:
                output = _add(joined, output)
            joined = output or joined
    except EngineLostError as error:
        return joined, error
    return joined, None


def _add(joined: EngineOutput, output: EngineOutput) -> EngineOutput:
    if joined.finish_reason is not None and output.token_ids:
        raise WireError("the engine writes on after the end")
    return EngineOutput(
        [*joined.token_ids, *output.token_ids],
        [*(joined.logprobs or ()), *output.logprobs] if output.logprobs else joined.logprobs,
        output.finish_reason or joined.finish_reason,
        num_cached_tokens=output.num_cached_tokens,
    )


def _check_obeyed(request: EngineRequest, output: EngineOutput) -> None:
    """Check that a thought is opened as the plan says, which costs nothing."""
    plan = request.plan
    is_forced = plan.opens and plan.close_at > 0 and not plan.prior_token_ids
    if is_forced and output.token_ids[0] != plan.script[0]:
        raise WireError("it does not have the sampler", is_final=True)


def _check_length(
    request: EngineRequest,
    output: EngineOutput,
    num_written: int,
    stop_token_ids: Collection[int],
) -> None:
    sampling = request.sampling
    is_full = num_written >= sampling.max_tokens
    if num_written > sampling.max_tokens:
        raise WireError("the engine writes more than it was asked for")
    if output.finish_reason == "length" and not is_full:
        raise WireError("the engine ended the request too early")
    if output.finish_reason == "stop":
        last = output.token_ids[-1] if output.token_ids else None
        is_own = not sampling.ignore_eos and last in stop_token_ids
        if not is_own and last not in request.stop_token_ids:
            raise WireError("the engine ended the request too early")
