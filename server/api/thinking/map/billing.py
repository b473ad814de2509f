"""A map's row in the ledger: its text as the prompt, and all tokens of its thoughts.

Does not know prices.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from server.api.thinking.map.mapping import MapRun
from server.api.thinking.map.reading import Position
from server.ledger.ledger import Ledger, RowHead
from server.ledger.prices import TokenCounts
from server.ledger.row import CANCELLED, FAILED, LedgerRow


async def record_map(
    ledger: Ledger, run: MapRun, model_name: str, positions: AsyncGenerator[Position, None]
) -> AsyncGenerator[Position, None]:
    """Yield `positions`; end when the map's row is durable, and set the cost of `run`.

    Raises:
        LedgerUnavailableError: the row could not be written in time.
    """
    finish: str | None = CANCELLED
    try:
        async with aclosing(positions):
            async for position in positions:
                yield position
        finish = None  # noted now, whatever happens
        row = _make_row(ledger, run, model_name, "stop")
        await ledger.write(row)
        run.cost = row.cost
    except Exception:
        finish = finish and FAILED
        raise
    finally:
        if finish is not None:
            ledger.note(_make_row(ledger, run, model_name, finish))


def _make_row(ledger: Ledger, run: MapRun, model_name: str, finish: str) -> LedgerRow:
    tally, account = run.tally, run.account
    head = RowHead(
        run.job.map_id, account.endpoint, account.key.key_id, model_name, run.num_prompt_tokens
    )
    used = TokenCounts(run.num_prompt_tokens, 0, tally.answer, tally.reasoning)
    receipt = {"used": tally.reasoning, "injected": tally.injected}
    return ledger.make_row(head, 0, used, finish, receipt)
