"""The share of one branch in the budget of a search, and the error for too small a budget."""

from server.errors.api import BadRequestError
from thinking.budget import ThinkingBudget
from thinking.strategies.protocol import BranchShare, BudgetTooSmallError, Strategy

STRATEGY = "thinking_options.strategy"


def compute_branch_share(
    strategy: Strategy, budget: ThinkingBudget, num_markers: int
) -> BranchShare:
    """Return the share of one branch in the budget of the whole search.

    Raises:
        BadRequestError: the budget is too small for this search.
    """
    try:
        return strategy.share(budget.budget, num_markers)
    except BudgetTooSmallError as error:
        raise too_small_error(strategy, budget, str(error)) from None


def too_small_error(strategy: Strategy, budget: ThinkingBudget, reason: str) -> BadRequestError:
    """Return the error for a search that does not fit the budget; it is not silently skipped."""
    limit = f", limited by {budget.limited_by.value}" if budget.limited_by else ""
    return BadRequestError(
        f"{STRATEGY}: {strategy.name!r} {reason} (the budget is {budget.budget}{limit})",
        param=STRATEGY,
        code="budget_too_small",
    )
