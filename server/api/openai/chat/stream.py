"""Events of a streamed chat completion, as bytes.

The parts that all chunks of a reply share are serialized once: with many open streams, this is
where the API layer spends its time. The JSON is ASCII, because some clients treat U+2028 as the end
of a line. Does not know the order of the events.
"""

import json
from collections.abc import Sequence
from typing import Any

from server.api.openai.chat.encrypted_thoughts import to_details
from server.api.openai.chat.response import get_finish_reason
from server.api.openai.logprobs import LogprobsWriter
from server.api.openai.reply_head import ReplyHead, to_usage
from server.choice.delta import ChoiceDelta, ChoiceResult
from server.choice.progress import ThinkingProgress
from server.tools.call import ToolCallDelta

_to_json = json.JSONEncoder(separators=(",", ":")).encode


class ChunkWriter:
    """Writes the chunks of one reply."""

    def __init__(
        self,
        head: ReplyHead,
        *,
        includes_usage: bool,
        logprobs: LogprobsWriter | None,
        has_named_tool: bool = False,
    ) -> None:
        self.includes_usage = includes_usage
        self._names_tool = has_named_tool
        self._head = head
        self._logprobs = logprobs
        opening = _to_json(head.to_dict("chat.completion.chunk"))[:-1]
        self._opening = f'data: {opening},"choices":['
        self._closing = '],"usage":null}\n\n' if includes_usage else "]}\n\n"

    def write_roles(self, num_choices: int) -> bytes:
        """Return the first chunk of each choice, which has the role."""
        delta = '"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}'
        return "".join(
            f'{self._opening}{{"index":{index},{delta}{self._closing}'
            for index in range(num_choices)
        ).encode()

    def write_delta(self, delta: ChoiceDelta) -> bytes:
        """Return the chunk of a delta of one choice; its last chunk has the receipt."""
        logprobs = "null"
        if self._logprobs and delta.logprobs:
            logprobs = _to_json(self._logprobs.to_dict(delta.logprobs))
        ending = '"finish_reason":null'
        if result := delta.result:
            receipt = _to_json(result.receipt.to_dict())
            reason = get_finish_reason(result, has_named_tool=self._names_tool)
            ending = f'"finish_reason":"{reason}","thinking":{receipt}'
        return (
            f'{self._opening}{{"index":{delta.index},"delta":{{{self._format_texts(delta)}}},'
            f'"logprobs":{logprobs},{ending}}}{self._closing}'
        ).encode()

    def _format_texts(self, delta: ChoiceDelta) -> str:
        texts = []
        if delta.reasoning:
            thought = _to_json(delta.reasoning)
            texts.append(f'"reasoning":{thought},"reasoning_content":{thought}')
        if delta.sealed_thoughts:
            details = to_details(self._head.reply_id, delta.index, delta.sealed_thoughts)
            texts.append(f'"reasoning_details":{_to_json(details)}')
        if delta.content:
            texts.append(f'"content":{_to_json(delta.content)}')
        if delta.tool_calls:
            calls = [_to_call(call) for call in delta.tool_calls]
            texts.append(f'"tool_calls":{_to_json(calls)}')
        return ",".join(texts)

    def write_progress(self, index: int, progress: ThinkingProgress) -> bytes:
        """Return the chunk that says how far the thoughts of a choice are, and nothing else."""
        return (
            f'{self._opening}{{"index":{index},"delta":{{}},"logprobs":null,"finish_reason":null,'
            f'"thinking":{_to_json(progress.to_dict())}}}{self._closing}'
        ).encode()

    def write_usage(self, results: Sequence[ChoiceResult]) -> bytes:
        """Return the last chunk, sent if requested: the usage, and no choices."""
        chunk: dict[str, Any] = self._head.to_dict("chat.completion.chunk")
        counts = to_usage(self._head.num_prompt_tokens, results)
        return f"data: {_to_json(chunk | {'choices': [], 'usage': counts})}\n\n".encode()


def _to_call(call: ToolCallDelta) -> dict[str, Any]:
    """Return a call's delta; only the first one of a call has its id and name."""
    if call.call_id is None:
        return {"index": call.index, "function": {"arguments": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments}
    return {"index": call.index, "id": call.call_id, "type": "function", "function": function}
