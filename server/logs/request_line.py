"""What the log says of one request: numbers and names of ours, nothing that a client wrote.

No prompt, thought, answer, header or query is among the fields; the path is the route's
template. The request id may be the client's own, of harmless characters
(``server.http.request_id``).
"""

from collections.abc import Mapping
from typing import Any

from server.account.account import RequestAccount


def request_fields(account: RequestAccount, model_name: str | None) -> dict[str, Any]:
    """The fields of a request that has ended; seconds are rounded to milliseconds."""
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
        "reasoning_tokens": used.reasoning,
        "answer_tokens": used.answer,
        "seconds": round(account.seconds, 3),
        "first_answer_seconds": None if first is None else round(first, 3),
        "thinking": [receipt.to_record() for receipt in account.receipts],
    }


def request_text(fields: Mapping[str, Any]) -> str:
    """The same for people, in one line."""
    parts = [f"{fields['method']} {fields['endpoint']} {fields['status'] or 'no response'}"]
    if fields["error"]:
        parts.append(fields["error"])
    if fields["client_left"]:
        parts.append("client left")
    if fields["thinking"]:
        parts.append(
            f"{fields['prompt_tokens']} prompt + {fields['reasoning_tokens']} thought + "
            f"{fields['answer_tokens']} answer tokens"
        )
    parts.append(f"{fields['seconds']:g} s")
    return ", ".join(parts) + f" ({fields['key']}, {fields['request_id']})"
