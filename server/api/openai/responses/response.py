"""Response object: the request's fields, the status, and the output. Knows no HTTP."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from server.api.openai.responses.protocol import ResponsesRequest
from server.api.openai.responses.tool_choice import echo_choice
from server.api.openai.responses.tools import HostedTool
from server.choice.delta import ChoiceResult, to_cost_field
from server.dialects.resolution import ThinkingParams
from server.errors.api import ApiError
from server.reply.reply import Reply
from thinking.budget import Effort

ResponseStatus = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
_SUMMARIES = ("reasoning.summary", "reasoning.generate_summary")


def wants_summary(thinking: ThinkingParams) -> bool:
    """Return whether the request asks for a summary of the thought."""
    return thinking.shows_thought and any(path in _SUMMARIES for path in thinking.show_paths)


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Fields that all objects of one response share."""

    body: ResponsesRequest
    thinking: ThinkingParams
    reply: Reply
    is_stored: bool
    created_at: int = field(default_factory=lambda: int(time.time()))

    def to_begun(self, status: Literal["queued", "in_progress"] = "in_progress") -> dict[str, Any]:
        """Return the response while it waits or is in progress."""
        return self._to_object(status, [])

    def to_ended(self, output: Sequence[dict[str, Any]], result: ChoiceResult) -> dict[str, Any]:
        """Return the finished response; it is incomplete if its token limit or a steer cut it."""
        reason = "max_output_tokens" if result.finish_reason == "length" else None
        if self.reply.was_stopped:
            reason = "steered"
        response = self._to_object("completed" if reason is None else "incomplete", output)
        if reason is not None:
            response["incomplete_details"] = {"reason": reason}
        else:
            response["completed_at"] = int(time.time())
        response["usage"] = to_usage(self.reply.num_prompt_tokens, result)
        response["thinking"] = result.receipt.to_dict()
        return response

    def to_prepared(self) -> dict[str, Any]:
        """Return the response to a request that asked for no output."""
        response = self._to_object("completed", [])
        response["completed_at"] = int(time.time())
        response["usage"] = _to_usage(0, 0, 0, 0)
        return response

    def to_failed(self, output: Sequence[dict[str, Any]], error: ApiError) -> dict[str, Any]:
        """Return the response that an error ended."""
        response = self._to_object("failed", output)
        # OpenAI's list of codes has one for load, and one for all else that is not the client's.
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        response["error"] = {"code": code, "message": error.message}
        return response

    def to_cancelled(self, output: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the response that its client has cancelled, with what it has used."""
        response = self._to_object("cancelled", output)
        account = self.reply.account
        if account.receipts:
            used = account.used
            response["usage"] = _to_usage(used.prompt, used.cached, used.reasoning, used.answer)
            response["thinking"] = account.receipts[-1].to_dict()
        return response

    def _to_object(
        self, status: ResponseStatus, output: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        sampling = self.reply.job.sampling
        return {
            "id": self.reply.job.request_id,
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "background": bool(self.body.background),
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "model": self.reply.model.engine.model_name,
            "output": list(output),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
            "store": self.is_stored,
            **self._echo_request(),
            "usage": None,
        }

    def _echo_request(self) -> dict[str, Any]:
        body = self.body
        text_format = body.text.format if body.text else None
        return {
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "max_tool_calls": body.max_tool_calls,
            "metadata": body.metadata or {},
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "prompt_cache_key": body.prompt_cache_key,
            "reasoning": self._to_reasoning(),
            "safety_identifier": body.safety_identifier,
            "service_tier": "default",
            "text": {"format": text_format.to_dict() if text_format else {"type": "text"}},
            "tool_choice": echo_choice(body.tool_choice),
            "tools": [
                tool.to_dict() for tool in body.tools or () if not isinstance(tool, HostedTool)
            ],
            "top_logprobs": body.top_logprobs or 0,
            "truncation": body.truncation or "disabled",
            "user": body.user,
        }

    def _to_reasoning(self) -> dict[str, Any]:
        """Return ``reasoning``: the effort, from any spelling, and "detailed" for a summary."""
        effort = self.thinking.effort.value if self.thinking.effort else None
        return {
            "effort": effort.value if isinstance(effort, Effort) else None,
            "summary": "detailed" if wants_summary(self.thinking) else None,
        }


def to_usage(num_prompt_tokens: int, result: ChoiceResult) -> dict[str, Any]:
    """Return the token counts of a finished response."""
    counts = (result.num_cached, result.num_reasoning, result.num_answer)
    return _to_usage(num_prompt_tokens, *counts) | to_cost_field([result])


def _to_usage(num_prompt: int, num_cached: int, num_hidden: int, num_answer: int) -> dict[str, Any]:
    num_output = num_hidden + num_answer
    return {
        "input_tokens": num_prompt,
        "input_tokens_details": {"cached_tokens": num_cached, "cache_write_tokens": 0},
        "output_tokens": num_output,
        "output_tokens_details": {"reasoning_tokens": num_hidden},
        "total_tokens": num_prompt + num_output,
    }
