"""Checks what a client has kept against the ledger: bodies of responses, or receipts.

A kept receipt matches if the ledger has its row, the row's signature holds, and what the receipt
says is what the row says. Does not know where the lines come from.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from server.ledger.row import LedgerRow, to_receipt_record
from server.ledger.signing import RowSigner

MATCHES = "matches"
_EVENT_FIELDS = ("data:", "event:", "id:", "retry:", ":")
# Names of a reply's sums in the usages of the endpoints, and their columns.
_USAGES = (
    ("prompt_tokens", "completion_tokens"),  # chat and text completions
    ("input_tokens", "output_tokens"),  # Responses and Messages
)


class RowSource(Protocol):
    """A ledger in which rows are found."""

    def find_signed(self, signature: str) -> LedgerRow | None:
        """Return the row that has `signature`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result for one receipt or usage; `problem` is "matches" or says what does not."""

    line: int
    request_id: str | None
    choice: int | None
    problem: str

    @property
    def is_match(self) -> bool:
        """True if all agrees."""
        return self.problem == MATCHES

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        return {
            "line": self.line,
            "request_id": self.request_id,
            "choice": self.choice,
            "result": self.problem,
        }


def check_line(source: RowSource, signer: RowSigner, line: int, text: str) -> Iterator[Verdict]:
    """Yield a verdict for each receipt in a line of JSON, and one for its usage if that differs.

    A line of an event stream may be without.
    """
    is_event = text.startswith(_EVENT_FIELDS)
    content = text.removeprefix("data:").strip()
    if not content or content == "[DONE]" or (is_event and content == text.strip()):
        return
    try:
        kept = json.loads(content)
    except ValueError:
        yield Verdict(line, None, None, "is not JSON")
        return
    receipts = list(_find_receipts(kept))
    if not receipts:
        if not is_event:
            yield Verdict(line, None, None, "has no receipt")
        return
    rows = []
    for receipt in receipts:
        row, problem = _check_receipt(source, signer, receipt)
        rows.append(row)
        request_id, choice = (None, None) if row is None else (row.request_id, row.choice)
        yield Verdict(line, request_id, choice, problem)
    usage = _find_usage(kept)
    known = [row for row in rows if row is not None]
    if usage is not None and len(known) == len(rows):
        difference = _compare_usage(usage, known)
        if difference is not None:
            yield Verdict(line, known[0].request_id, None, difference)


def _check_receipt(
    source: RowSource, signer: RowSigner, receipt: Mapping[str, Any]
) -> tuple[LedgerRow | None, str]:
    signature = receipt.get("signature")
    if not isinstance(signature, str):
        return None, "has no signature"
    row = source.find_signed(signature)
    if row is None:
        return None, "the ledger has no row with this signature"
    if not signer.verify(row, signature):
        return row, "the ledger's row was changed, or its key is not here"
    kept = to_receipt_record(receipt)
    for name in sorted(kept.keys() | row.receipt.keys()):
        if kept.get(name) != row.receipt.get(name):
            return row, f"thinking.{name} differs from the ledger"
    return row, MATCHES


def _compare_usage(usage: Mapping[str, Any], rows: list[LedgerRow]) -> str | None:
    """Return what differs between a reply's usage and its rows; None: nothing that both have."""
    for prompt, completion in _USAGES:
        if completion not in usage:
            continue
        num_prompt = usage.get(prompt, 0) + usage.get("cache_read_input_tokens", 0)
        if num_prompt != sum(row.prompt_tokens for row in rows):
            return f"usage.{prompt} differs from the ledger"
        if usage[completion] != sum(row.answer_tokens + row.thinking_tokens for row in rows):
            return f"usage.{completion} differs from the ledger"
    costs = [row.cost for row in rows if row.cost is not None]
    if "cost" in usage and usage["cost"] != float(sum(costs)):
        return "usage.cost differs from the ledger"
    return None


def _find_receipts(kept: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the receipts of a body, or of an event of a stream, or the receipt itself."""
    if not isinstance(kept, dict):
        return
    for body in (kept, kept.get("response")):
        if not isinstance(body, dict):
            continue
        if isinstance(body.get("thinking"), dict):
            yield body["thinking"]
        choices = body.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and isinstance(choice.get("thinking"), dict):
                yield choice["thinking"]
    if "signature" in kept or {"budget", "used"} <= kept.keys():
        yield kept


def _find_usage(kept: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the usage of a whole body; a stream has its usage in another event."""
    body = kept.get("response", kept)
    usage = body.get("usage") if isinstance(body, dict) else None
    return usage if isinstance(usage, dict) else None
