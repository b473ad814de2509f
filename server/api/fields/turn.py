"""``thinking_options.turn`` of a body: a budget that several requests share.

Does not know what the turn has used.
"""

from typing import Annotated

from pydantic import Field

from server.api.body import StrictModel
from server.errors.api import BadRequestError
from server.quotas.turns.request import BUDGET_FIELD, TurnRequest

MAX_ID_CHARACTERS = 256
MAX_BUDGET = 10**12


class TurnOptions(StrictModel):
    """``thinking_options.turn``: a budget that several requests share."""

    id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_ID_CHARACTERS,
            description="All requests of a key with the same id draw on one sum.",
        ),
    ]
    budget: Annotated[
        int | None,
        Field(
            ge=0,
            le=MAX_BUDGET,
            description="Maximum number of hidden tokens of all these requests together. On "
            "Messages, `output_config.task_budget.total` may be sent instead.",
        ),
    ] = None

    def to_request(self) -> TurnRequest:
        """Return the turn.

        Raises:
            BadRequestError: it has no budget.
        """
        if self.budget is None:
            raise BadRequestError(
                f"{BUDGET_FIELD}: a number of tokens is needed, the same in each request of the "
                "turn",
                param=BUDGET_FIELD,
                code="missing_field",
            )
        return TurnRequest(self.id, self.budget)
