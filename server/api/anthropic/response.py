"""Message of Anthropic's API: as one object, or as the events of a stream. Knows no HTTP."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from server.api.anthropic.content import ContentWriter, Event, collect_blocks
from server.choice.delta import ChoiceDelta, ChoiceResult, to_cost_field

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_CONTEXT_IS_FULL = "model_context_window_exceeded"
_NO_DIAGNOSIS = {"cache_miss_reason": {"type": "unavailable"}}
PING: Event = {"type": "ping"}


@dataclass(frozen=True, slots=True)
class MessageHead:
    """Fields of a message that are known before anything is generated.

    `fits_context` is False if the context ends before `max_tokens`. `applied_edits` is what
    ``context_management`` did; None: it was not requested. `is_diagnosed`: the client asked why
    its cached prompt was missed, which is not known here.
    """

    message_id: str
    model_name: str
    num_prompt_tokens: int
    fits_context: bool = True
    applied_edits: Sequence[dict[str, Any]] | None = None
    is_diagnosed: bool = False

    def to_message(self, content: Sequence[Any], result: ChoiceResult | None) -> dict[str, Any]:
        """Return the message; `result` is None while it is generated."""
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "model": self.model_name,
            "content": list(content),
            **self.to_stop_fields(result),
            "usage": self.to_usage(result),
            **self.context_fields,
            **({"diagnostics": _NO_DIAGNOSIS} if self.is_diagnosed else {}),
        }

    @property
    def context_fields(self) -> dict[str, Any]:
        """The field that shows the edits, if any was requested."""
        if self.applied_edits is None:
            return {}
        return {"context_management": {"applied_edits": list(self.applied_edits)}}

    def to_usage(self, result: ChoiceResult | None) -> dict[str, Any]:
        """Return the token counts. As in Anthropic's API, `input_tokens` excludes cached ones.

        Before the engine has read the prompt, none is known to be cached. Later counts replace
        earlier ones.
        """
        num_cached = result.num_cached if result else 0
        num_thought = result.num_reasoning if result else 0
        num_output = num_thought + result.num_answer if result else 0
        return {
            "input_tokens": self.num_prompt_tokens - num_cached,
            "output_tokens": num_output,
            "output_tokens_details": {"thinking_tokens": num_thought},
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": num_cached,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
            "service_tier": "standard",
            **to_cost_field([result] if result else []),
        }

    def to_stop_fields(self, result: ChoiceResult | None) -> dict[str, Any]:
        """Return why the answer ended; nulls while it is generated."""
        if result is None:
            return {"stop_reason": None, "stop_sequence": None}
        # The client has to answer the calls, even if a stop string followed them.
        if result.stop is not None and result.finish_reason != "tool_calls":
            return {"stop_reason": "stop_sequence", "stop_sequence": result.stop}
        reason = _STOP_REASONS[result.finish_reason]
        if result.finish_reason == "length" and not self.fits_context:
            reason = _CONTEXT_IS_FULL
        return {"stop_reason": reason, "stop_sequence": None}


class MessageWriter:
    """Writes the events of one message, from its start to its stop.

    `opens_with_thought`: the reply begins with a thought, whose block opens at once.
    """

    def __init__(
        self, head: MessageHead, content: ContentWriter, *, opens_with_thought: bool
    ) -> None:
        self._head = head
        self._content = content
        self._opens_with_thought = opens_with_thought

    def start(self) -> Iterator[Event]:
        """Write the events that precede the first delta."""
        yield {"type": "message_start", "message": self._head.to_message((), None)}
        yield PING
        if self._opens_with_thought:
            yield from self._content.begin_thought()

    def push(self, delta: ChoiceDelta) -> Iterator[Event]:
        """Write the events of a delta; the last delta ends the message."""
        yield from self._content.push(delta)
        if result := delta.result:
            yield from self._content.close()
            yield {
                "type": "message_delta",
                "delta": self._head.to_stop_fields(result),
                "usage": self._head.to_usage(result),
                **self._head.context_fields,
                "thinking": result.receipt.to_dict(),
            }
            yield {"type": "message_stop"}


def build_message(
    head: MessageHead, events: Sequence[Event], result: ChoiceResult
) -> dict[str, Any]:
    """Return the message that `events` build, with its receipt."""
    message = head.to_message(collect_blocks(events), result)
    return {**message, "thinking": result.receipt.to_dict()}
