"""Requests to vLLM's token-in-token-out API, and its answers.

``POST /inference/v1/generate`` of ``vllm serve --tokens-only``
(``vllm/entrypoints/scale_out/token_in_token_out/protocol.py``, vLLM 0.32). Sends nothing itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import msgspec
from vllm.sampling_params import SamplingParams

from server.engine.protocol import EngineOutput, EngineRequest, TokenLogprob, TokenLogprobs
from server.engine.remote.errors import EngineFailedError, WireError

GENERATE_PATH = "/inference/v1/generate"
MAX_EVENT_BYTES = 8 * 2**20  # 20 alternatives of 10,000 tokens
_DATA, _DONE, _END = b"data: ", b"[DONE]", b"\n\n"
# Decided by the other side.
_NOT_SENT = frozenset({"output_kind", "detokenize", "structured_outputs"})


class _Candidate(msgspec.Struct):
    token_id: int
    logprob: float
    rank: int | None = None


class _Place(_Candidate):
    top_logprobs: list[_Candidate] = []


class _Logprobs(msgspec.Struct):
    content: list[_Place] | None = None


class _Choice(msgspec.Struct):
    token_ids: list[int] | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _PromptCandidate(msgspec.Struct):
    logprob: float
    rank: int | None = None


class Frame(msgspec.Struct):
    """An event of a stream, or a whole answer, as far as it is read here."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None
    prompt_logprobs: list[dict[str, _PromptCandidate] | None] | None = None

    @property
    def num_cached_tokens(self) -> int | None:
        """Number of tokens of the prompt that were not computed; None: it does not say."""
        details = self.usage.prompt_tokens_details if self.usage else None
        return details.cached_tokens if details else None

    @property
    def num_completion_tokens(self) -> int | None:
        """Number of tokens that the other side has counted; None: it does not say."""
        return self.usage.completion_tokens if self.usage else None


_DECODER = msgspec.json.Decoder(Frame)


def encode_request(
    request: EngineRequest,
    params: SamplingParams,
    cache_salt: str | None = None,
    *,
    streams: bool,
) -> bytes:
    """Return the body of a request for one choice."""
    body: dict[str, Any] = {
        "request_id": request.request_id,
        "token_ids": list(request.prompt_token_ids),
        "sampling_params": encode_params(params),
    }
    if cache_salt is not None:
        body["cache_salt"] = cache_salt
    if streams:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return msgspec.json.encode(body)


def encode_params(params: SamplingParams) -> dict[str, Any]:
    """Return the parameters that are not vLLM's defaults, and the limit of the length always."""
    sent = {
        name: value
        for name in _PARAM_NAMES
        if (value := getattr(params, name)) != getattr(_DEFAULTS, name)
    }
    sent["max_tokens"] = params.max_tokens
    if params.structured_outputs is not None:
        outputs = asdict(params.structured_outputs)
        sent["structured_outputs"] = {
            name: value
            for name, value in outputs.items()
            if value is not None and not name.startswith("_")
        }
    return sent


_DEFAULTS = SamplingParams()
_PARAM_NAMES = [
    field.name
    for field in msgspec.structs.fields(SamplingParams)
    if not field.name.startswith("_") and field.name not in _NOT_SENT
]


class EventSplitter:
    """Splits the bytes of a stream into its events, whatever the pieces in which they come."""

    def __init__(self) -> None:
        self._rest = bytearray()  # of an event without an end so far

    def push(self, piece: bytes) -> Iterator[Frame]:
        """Yield the events that are complete; what is no event of data is left out.

        Raises:
            WireError: an event is longer than ``MAX_EVENT_BYTES``, or no answer of the API.
        """
        for event in self._split(piece):
            # An event, the last line of the stream, or a comment that keeps it open.
            if event.startswith(_DATA) and event != _DATA + _DONE:
                yield decode_frame(event.removeprefix(_DATA))

    def _split(self, piece: bytes) -> Sequence[bytes]:
        """Return the complete events. Looks at no byte of a long one twice."""
        rest = self._rest
        if rest:
            begin = max(0, len(rest) - len(_END) + 1)
            rest += piece
            if rest.find(_END, begin) < 0:
                self._check_rest()
                return ()
            piece = bytes(rest)
        *events, left = piece.split(_END)
        self._rest = bytearray(left)
        self._check_rest()
        return events

    def _check_rest(self) -> None:
        if len(self._rest) > MAX_EVENT_BYTES:
            raise WireError("an event of the engine has no end")


def decode_frame(data: bytes) -> Frame:
    """Return a frame.

    Raises:
        WireError: it is no answer of the API.
        EngineFailedError: it is an error.
    """
    try:
        frame = _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("an answer of the engine has not the form of its API") from error
    if frame.error is not None:
        raise EngineFailedError("the engine failed on this request")
    return frame


def decode_output(frame: Frame, request: EngineRequest, vocab_size: int) -> EngineOutput | None:
    """Return the output of a frame; None: it has no tokens and is not the end.

    Raises:
        WireError: it is not one of one choice, or has ids that are no tokens of the model.
        EngineFailedError: the engine ended the request before its end.
    """
    if not frame.choices:
        return None
    if len(frame.choices) != 1:
        raise WireError("an answer of the engine has several choices")
    (choice,) = frame.choices
    token_ids = choice.token_ids or []
    if token_ids and not (min(token_ids) >= 0 and max(token_ids) < vocab_size):
        raise WireError("an answer of the engine has ids that are no tokens of the model")
    match choice.finish_reason:
        case None | "stop" | "length":
            return EngineOutput(
                token_ids,
                _read_logprobs(choice, request, vocab_size),
                choice.finish_reason,
                _read_prompt_logprobs(frame, request, vocab_size),
                frame.num_cached_tokens,
            )
        case _:
            raise EngineFailedError("the engine ended the request")


def decode_whole(frame: Frame, request: EngineRequest, vocab_size: int) -> EngineOutput:
    """Return the output of an answer that is no stream.

    Raises:
        WireError: it is not complete, or see :func:`decode_output`.
        EngineFailedError: see :func:`decode_output`.
    """
    output = decode_output(frame, request, vocab_size)
    if output is None or output.finish_reason is None:
        raise WireError("an answer of the engine has no end")
    return output


def _read_logprobs(
    choice: _Choice, request: EngineRequest, vocab_size: int
) -> list[TokenLogprobs] | None:
    num_top = request.sampling.num_logprobs
    if num_top is None:
        return None
    places = (choice.logprobs.content if choice.logprobs else None) or []
    if [place.token_id for place in places] != list(choice.token_ids or ()):
        raise WireError("an answer of the engine lacks log-probabilities")
    return [
        TokenLogprobs(_read_candidate(place), _read_top(place.top_logprobs, num_top, vocab_size))
        for place in places
    ]


def _read_top(
    candidates: Sequence[_Candidate], num_top: int, vocab_size: int
) -> tuple[TokenLogprob, ...]:
    """Return the likeliest tokens in order; the sampled one may have a rank beyond them."""
    if not all(0 <= candidate.token_id < vocab_size for candidate in candidates):
        raise WireError("an answer of the engine has ids that are no tokens of the model")
    ranked = sorted(
        (candidate for candidate in candidates if 1 <= (candidate.rank or 0) <= num_top),
        key=lambda candidate: candidate.rank or 0,
    )
    return tuple(map(_read_candidate, ranked[:num_top]))


def _read_candidate(candidate: _Candidate) -> TokenLogprob:
    return TokenLogprob(candidate.token_id, candidate.logprob)


def _read_prompt_logprobs(
    frame: Frame, request: EngineRequest, vocab_size: int
) -> list[TokenLogprobs | None] | None:
    num_top = request.num_prompt_logprobs
    if num_top is None:
        return None
    places = frame.prompt_logprobs or []
    if len(places) != len(request.prompt_token_ids):
        raise WireError("an answer of the engine lacks log-probabilities of the prompt")
    try:
        return [
            None if place is None else _read_prompt_place(place, token_id, num_top, vocab_size)
            for place, token_id in zip(places, request.prompt_token_ids, strict=True)
        ]
    except (KeyError, ValueError) as error:
        raise WireError("an answer of the engine lacks log-probabilities of the prompt") from error


def _read_prompt_place(
    place: Mapping[str, _PromptCandidate], token_id: int, num_top: int, vocab_size: int
) -> TokenLogprobs:
    candidates = [_Candidate(int(key), value.logprob, value.rank) for key, value in place.items()]
    sampled = TokenLogprob(token_id, place[str(token_id)].logprob)
    return TokenLogprobs(sampled, _read_top(candidates, num_top, vocab_size))
