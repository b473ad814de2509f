"""Message of Anthropic's API: as one object, or as the events of a stream. Knows no HTTP."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from server.api.anthropic.content import ContentWriter, Event, collect_blocks
from server.choice.delta import ChoiceDelta, ChoiceResult

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
PING: Event = {"type": "ping"}


@dataclass(frozen=True, slots=True)
class MessageHead:
    """Fields of a message that are known before anything is generated."""

    message_id: str
    model_name: str
    num_prompt_tokens: int

    def to_message(self, content: Sequence[Any], result: ChoiceResult | None) -> dict[str, Any]:
        """Return the message; `result` is None while it is generated."""
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "model": self.model_name,
            "content": list(content),
            **_to_stop_fields(result),
            "usage": self.to_usage(result),
        }

    def to_usage(self, result: ChoiceResult | None) -> dict[str, Any]:
        """Return the token counts. Cached prompt tokens are not reported separately."""
        num_thought = result.num_reasoning if result else 0
        num_output = num_thought + result.num_answer if result else 0
        return {
            "input_tokens": self.num_prompt_tokens,
            "output_tokens": num_output,
            "output_tokens_details": {"thinking_tokens": num_thought},
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        }


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
                "delta": _to_stop_fields(result),
                "usage": self._head.to_usage(result),
                "thinking": result.receipt.to_dict(),
            }
            yield {"type": "message_stop"}


def build_message(
    head: MessageHead, events: Sequence[Event], result: ChoiceResult
) -> dict[str, Any]:
    """Return the message that `events` build, with its receipt."""
    message = head.to_message(collect_blocks(events), result)
    return {**message, "thinking": result.receipt.to_dict()}


def _to_stop_fields(result: ChoiceResult | None) -> dict[str, Any]:
    if result is None:
        return {"stop_reason": None, "stop_sequence": None}
    # The client has to answer the calls, even if a stop string followed them.
    if result.stop is not None and result.finish_reason != "tool_calls":
        return {"stop_reason": "stop_sequence", "stop_sequence": result.stop}
    return {"stop_reason": _STOP_REASONS[result.finish_reason], "stop_sequence": None}
