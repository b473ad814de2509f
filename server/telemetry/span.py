"""Attributes of a request's span: names of OpenTelemetry's conventions, and the receipt.

Attributes follow the GenAI semantic conventions (``gen_ai.*``, opentelemetry.io/docs/specs/
semconv/gen-ai/) and those of HTTP; what these do not name is ``thinking.*``. They contain nothing
that a client wrote. Does not need OpenTelemetry.
"""

from collections.abc import Iterator, Mapping

from server.account.account import RequestAccount
from thinking.receipt import Receipt

Value = str | int | float | bool
# Operation names of the endpoints that generate; others have none.
_OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/v1/messages": "chat",
    "/v1/responses": "chat",
    "/v1/completions": "text_completion",
    "/v1/thinking/map": "map",
}


def build_span_name(account: RequestAccount, model_name: str | None) -> str:
    """Return ``chat smollm2`` for an endpoint that generates, else ``GET /v1/models``."""
    operation = _OPERATIONS.get(account.endpoint)
    if operation is None or model_name is None:
        return f"{account.known_method} {account.endpoint}"
    return f"{operation} {model_name}"


def build_span_attributes(account: RequestAccount, model_name: str | None) -> dict[str, Value]:
    """Return the attributes of the span of a request."""
    used = account.used
    attributes: dict[str, Value | None] = {
        "http.request.method": account.known_method,
        "http.route": account.endpoint,
        "http.response.status_code": account.status,
        "error.type": account.error_code,
        "thinking.request_id": account.request_id,
        "thinking.key": account.key.key_id,
        "thinking.client_left": account.client_left,
    }
    if (operation := _OPERATIONS.get(account.endpoint)) is not None:
        attributes |= {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": "thinking-server",
            "gen_ai.request.model": model_name,
            "gen_ai.usage.input_tokens": used.prompt,
            "gen_ai.usage.cache_read.input_tokens": used.cached,
            "gen_ai.usage.output_tokens": used.reasoning + used.answer,
            "gen_ai.usage.reasoning.output_tokens": used.reasoning,
            "thinking.first_answer_seconds": account.first_answer_seconds,
        }
    if len(account.receipts) == 1:
        attributes |= build_receipt_attributes(account.receipts[0])
    return {name: value for name, value in attributes.items() if value is not None}


def build_receipt_events(account: RequestAccount) -> Iterator[Mapping[str, Value]]:
    """Yield the event attributes for each choice of a request with several choices."""
    if len(account.receipts) > 1:
        for index, receipt in enumerate(account.receipts):
            yield {"thinking.choice": index, **build_receipt_attributes(receipt)}


def build_receipt_attributes(receipt: Receipt) -> dict[str, Value]:
    """Return the receipt as attributes, without its advice; an attribute is never an object."""
    record = receipt.to_record()
    turn = record.pop("turn", {})
    record |= {f"turn.{name}": value for name, value in turn.items()}
    return {f"thinking.{name}": value for name, value in record.items() if value is not None}
