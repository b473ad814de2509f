"""The ledger of one server: what the choices of its replies use, and what they cost.

A choice's row is durable before its last delta goes out, so that no answer is delivered without
one. Knows no endpoint and no database.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from server.choice.delta import ChoiceDelta, ChoiceResult
from server.choice.outcome import ChoiceOutcome
from server.ledger.prices import PriceList, TokenCounts
from server.ledger.row import CANCELLED, FAILED, LedgerRow, to_receipt_record
from server.ledger.signing import RowSigner
from server.ledger.writer import LedgerWriter


@dataclass(frozen=True, slots=True)
class RowHead:
    """Fields that the rows of one reply share.

    `first_choice` is the place of the reply's first choice in its request. `counts_cached`: false
    if the prompt is charged as a whole, whatever was in the prefix cache.
    """

    request_id: str
    endpoint: str
    key_id: str
    model: str
    num_prompt_tokens: int
    num_choices: int = 1
    first_choice: int = 0
    counts_cached: bool = True


class Ledger:
    """Prices and records choices. Without `writer` rows have a cost and go nowhere."""

    def __init__(
        self, prices: PriceList | None, signer: RowSigner, writer: LedgerWriter | None
    ) -> None:
        self._prices = prices
        self._signer = signer
        self._writer = writer

    def check_model(self, model_name: str) -> None:
        """Check that the model has prices, if there are any.

        Raises:
            PriceFileError: it has none.
        """
        if self._prices is not None:
            self._prices.get_prices(model_name)

    def check_open(self) -> None:
        """Check that a reply that begins now can be recorded.

        Raises:
            LedgerUnavailableError: 503.
        """
        if self._writer is not None:
            self._writer.check_open()

    def make_row(
        self,
        head: RowHead,
        choice: int,
        used: TokenCounts,
        finish: str,
        receipt: Mapping[str, Any],
    ) -> LedgerRow:
        """Return the priced and signed row of a choice that ends now."""
        cost = currency = None
        if self._prices is not None:
            cost = self._prices.get_prices(head.model).compute_cost(used)
            currency = self._prices.currency
        row = LedgerRow(
            request_id=head.request_id,
            choice=head.first_choice + choice,
            time=datetime.now(UTC),
            endpoint=head.endpoint,
            key_id=head.key_id,
            model=head.model,
            prompt_tokens=used.prompt,
            cached_tokens=used.cached,
            answer_tokens=used.answer,
            thinking_tokens=used.thinking,
            finish=finish,
            receipt=to_receipt_record(receipt),
            cost=cost,
            currency=currency,
        )
        # A signature vouches for a row, so there is none without rows.
        return row if self._writer is None else replace(row, signature=self._signer.sign(row))

    async def write(self, row: LedgerRow) -> None:
        """Write `row`; it is durable when this returns.

        Raises:
            LedgerUnavailableError: 503, it could not be written in time.
        """
        if self._writer is not None:
            await self._writer.write(row)

    def note(self, row: LedgerRow) -> None:
        """Write `row` at some time; nobody waits for it."""
        if self._writer is not None:
            self._writer.note(row)

    def close(self) -> None:
        """Write what waits."""
        if self._writer is not None:
            self._writer.close()


class ReplyRecorder:
    """Records the choices of one reply, each once, whether it ends, fails or is given up.

    The prompt is charged to the choice that ends last: only then is known how much of it was cached
    before the request.
    """

    def __init__(self, ledger: Ledger, head: RowHead) -> None:
        self._ledger = ledger
        self._head = head
        self._open = set(range(head.num_choices))
        self._outcomes: dict[int, ChoiceOutcome] = {}
        self._num_cached: list[int] = []

    def note_outcome(self, index: int, outcome: ChoiceOutcome) -> None:
        """Take what a choice has used, which is recorded if it has not ended."""
        self._outcomes[index] = outcome

    async def record(
        self, deltas: AsyncGenerator[ChoiceDelta, None]
    ) -> AsyncGenerator[ChoiceDelta, None]:
        """Yield `deltas`; the last one of a choice when its row is durable.

        Raises:
            LedgerUnavailableError: a row could not be written in time.
        """
        finish = CANCELLED
        try:
            async with aclosing(deltas):
                async for delta in deltas:
                    if delta.result is not None:
                        delta.result = await self._settle(delta.index, delta.result)
                    yield delta
        except Exception:
            finish = FAILED
            raise
        finally:
            self._note_open(finish)

    async def _settle(self, index: int, result: ChoiceResult) -> ChoiceResult:
        used = self._charge(index, result.num_cached, result.num_answer, result.num_reasoning)
        receipt = result.receipt
        row = self._ledger.make_row(
            self._head, index, used, result.finish_reason, receipt.to_record()
        )
        await self._ledger.write(row)
        if row.signature is not None:
            receipt = replace(receipt, signature=row.signature)
        return replace(result, receipt=receipt, cost=row.cost)

    def _note_open(self, finish: str) -> None:
        for index in sorted(self._open & self._outcomes.keys()):
            outcome = self._outcomes[index]
            used = self._charge(index, outcome.num_cached, outcome.num_answer, outcome.receipt.used)
            record = outcome.receipt.to_record()
            self._ledger.note(self._ledger.make_row(self._head, index, used, finish, record))

    def _charge(self, index: int, num_cached: int, num_answer: int, thinking: int) -> TokenCounts:
        """Return what the choice is charged for; it is not open any more."""
        self._open.discard(index)
        self._num_cached.append(num_cached if self._head.counts_cached else 0)
        if self._open:
            return TokenCounts(0, 0, num_answer, thinking)
        cached = min(self._num_cached)
        return TokenCounts(self._head.num_prompt_tokens, cached, num_answer, thinking)
