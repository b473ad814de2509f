"""Row of the ledger: what one choice of a reply has used, and what it costs.

Holds no text of a prompt, a thought or an answer. Knows no database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

# Besides the finish reasons of choices that have ended ("stop", "length", "tool_calls").
CANCELLED = "cancelled"
FAILED = "failed"
# Strings of a receipt that come from closed sets of the server; all others stay out of the ledger.
_WORDS = frozenset({"source", "limited_by", "stop", "strategy", "branches_limited_by"})


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A row; `request_id` and `choice` together are unique.

    `request_id` is the reply's id on the wire, `choice` the place of the choice in it. The prompt's
    tokens are those charged to this choice: a prompt is charged once, to its choice that ends last.
    `finish` is the finish reason, "cancelled" (the client left) or "failed". `cost` is exact, in
    `currency`; None: the server has no prices. `signature` covers all other fields.
    """

    request_id: str
    choice: int
    time: datetime
    endpoint: str
    key_id: str
    model: str
    prompt_tokens: int
    cached_tokens: int
    answer_tokens: int
    thinking_tokens: int
    finish: str
    receipt: Mapping[str, Any]
    cost: Decimal | None = None
    currency: str | None = None
    signature: str | None = None

    def to_signed_dict(self) -> dict[str, Any]:
        """Return the fields that a signature covers, as JSON values (docs/ledger.md)."""
        return {
            "request_id": self.request_id,
            "choice": self.choice,
            "time": format_time(self.time),
            "endpoint": self.endpoint,
            "key_id": self.key_id,
            "model": self.model,
            "prompt_tokens": self.prompt_tokens,
            "cached_tokens": self.cached_tokens,
            "answer_tokens": self.answer_tokens,
            "thinking_tokens": self.thinking_tokens,
            "finish": self.finish,
            "receipt": dict(self.receipt),
            "cost": None if self.cost is None else format_decimal(self.cost),
            "currency": self.currency,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {**self.to_signed_dict(), "signature": self.signature}

    def as_failed(self) -> "LedgerRow":
        """Return the row of the same use if its reply was not delivered. It has no signature."""
        return replace(self, finish=FAILED, signature=None)


def read_row(fields: Mapping[str, Any]) -> LedgerRow:
    """Return the row that :meth:`LedgerRow.to_dict` wrote."""
    cost = None if fields["cost"] is None else Decimal(fields["cost"])
    time = datetime.fromisoformat(fields["time"])
    return LedgerRow(**{**fields, "time": time, "cost": cost})


def format_time(time: datetime) -> str:
    """Return a UTC time in RFC 3339, with microseconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def format_decimal(value: Decimal) -> str:
    """Return `value` without an exponent or trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def to_receipt_record(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the ledger keeps of a receipt in wire form: numbers, and words of our own.

    What else a receipt may have (advice, a sealed thought, an id that a client chose) is left out.
    """
    kept: dict[str, Any] = {}
    for name, value in receipt.items():
        if value is None or isinstance(value, int | float) or name in _WORDS:
            kept[name] = value
        elif isinstance(value, Mapping):
            kept[name] = to_receipt_record(value)
    return kept
