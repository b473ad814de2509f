"""JSON object of a chat completion that is not streamed. Knows no HTTP."""

from collections.abc import Sequence
from typing import Any

from server.api.openai.chat.encrypted_thoughts import to_details
from server.api.openai.logprobs import LogprobsWriter
from server.api.openai.reply_head import ReplyHead, to_usage
from server.choice.delta import ChoiceDelta, ChoiceResult
from server.tools.call import join_calls


def get_finish_reason(result: ChoiceResult, *, has_named_tool: bool) -> str:
    """Return OpenAI's ``finish_reason``: "stop" after a call of the function that was named."""
    if has_named_tool and result.finish_reason == "tool_calls":
        return "stop"
    return result.finish_reason


def build_chat_completion(
    head: ReplyHead,
    choices: Sequence[ChoiceDelta],
    *,
    shows_thought: bool,
    logprobs: LogprobsWriter | None,
    has_named_tool: bool = False,
) -> dict[str, Any]:
    """Return the whole completion; each of `choices` has its result."""
    results = [choice.result for choice in choices if choice.result]
    return {
        **head.to_dict("chat.completion"),
        "choices": [
            _to_message(head, choice, shows_thought=shows_thought)
            | _to_ending(choice, logprobs, has_named_tool=has_named_tool)
            for choice in choices
        ],
        "usage": to_usage(head.num_prompt_tokens, results),
    }


def _to_message(head: ReplyHead, choice: ChoiceDelta, *, shows_thought: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.content, "refusal": None}
    if calls := join_calls(choice.tool_calls):
        message["content"] = choice.content or None
        message["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ]
    if shows_thought:
        # The same text under two names, as clients read one or the other.
        message |= {"reasoning": choice.reasoning, "reasoning_content": choice.reasoning}
    if choice.sealed_thoughts:
        details = to_details(head.reply_id, choice.index, choice.sealed_thoughts)
        message["reasoning_details"] = details
    return {"index": choice.index, "message": message}


def _to_ending(
    choice: ChoiceDelta, logprobs: LogprobsWriter | None, *, has_named_tool: bool
) -> dict[str, Any]:
    assert choice.result is not None
    return {
        "logprobs": logprobs.to_dict(choice.logprobs) if logprobs else None,
        "finish_reason": get_finish_reason(choice.result, has_named_tool=has_named_tool),
        "thinking": choice.result.receipt.to_dict(),
    }
