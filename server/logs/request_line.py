"""The log fields of a request: our own numbers and names, and no text that a client wrote.

The fields contain no prompt, thought, answer, header or query; the path is the route's template.
The request id and the paths of ignored fields are the client's, restricted to harmless
characters (``server.http.request_id``, ``server.api.ignored``).
"""

from collections.abc import Mapping
from typing import Any

from server.account.account import RequestAccount

MAX_IGNORED = 10  # paths in one line


def build_request_fields(account: RequestAccount, model_name: str | None) -> dict[str, Any]:
    """Return the log fields of a request that has ended; seconds are rounded to milliseconds."""
    used, first = account.used, account.first_answer_seconds
    return {
        "request_id": account.request_id,
        "key": account.key.key_id,
        "method": account.known_method,
        "endpoint": account.endpoint,
        "status": account.status,
        "error": account.error_code,
        "client_left": account.client_left,
        "model": model_name,
        "prompt_tokens": used.prompt,
        "cached_tokens": used.cached,
        "reasoning_tokens": used.reasoning,
        "answer_tokens": used.answer,
        "seconds": round(account.seconds, 3),
        "first_answer_seconds": None if first is None else round(first, 3),
        "ignored_fields": account.ignored_fields[:MAX_IGNORED],
        "num_ignored_fields": len(account.ignored_fields),
        "thinking": [receipt.to_record() for receipt in account.receipts],
    }


def format_request(fields: Mapping[str, Any]) -> str:
    """Format the fields of a request as one line for people."""
    parts = [f"{fields['method']} {fields['endpoint']} {fields['status'] or 'no response'}"]
    if fields["error"]:
        parts.append(fields["error"])
    if fields["ignored_fields"]:
        parts.append(f"not used: {', '.join(fields['ignored_fields'])}")
    if fields["client_left"]:
        parts.append("client left")
    if fields["thinking"]:
        parts.append(
            f"{fields['prompt_tokens']} prompt + {fields['reasoning_tokens']} thought + "
            f"{fields['answer_tokens']} answer tokens"
        )
    parts.append(f"{fields['seconds']:g} s")
    return ", ".join(parts) + f" ({fields['key']}, {fields['request_id']})"
