"""The error for a budget that is too small for a search."""

from server.errors.api import BadRequestError
from thinking.budget import ThinkingBudget
from thinking.strategies.protocol import Strategy

STRATEGY = "thinking_options.strategy"


def too_small_error(
    strategy: Strategy, budget: ThinkingBudget, num_markers: int
) -> BadRequestError:
    """Return the error for a search whose budget cannot hold a thought with its markers."""
    limit = f", limited by {budget.limited_by.value}" if budget.limited_by else ""
    return BadRequestError(
        f"{STRATEGY}: {strategy.name!r} needs a thinking budget of at least {num_markers} tokens, "
        f"for the markers of a thought (the budget is {budget.budget}{limit})",
        param=STRATEGY,
        code="budget_too_small",
    )
