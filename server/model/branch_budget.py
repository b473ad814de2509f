"""What one branch of a search may take of the budget of all, or why that budget is too small."""

from server.errors.api import BadRequestError
from thinking.budget import ThinkingBudget
from thinking.strategies.protocol import BranchShare, BudgetTooSmallError, Strategy

STRATEGY = "thinking_options.strategy"


def share_of_branch(strategy: Strategy, budget: ThinkingBudget, num_markers: int) -> BranchShare:
    """What one branch may take of the budget of all.

    Raises:
        BadRequestError: the budget is too small for this search.
    """
    try:
        return strategy.share(budget.budget, num_markers)
    except BudgetTooSmallError as error:
        raise budget_too_small(strategy, budget, str(error)) from None


def budget_too_small(strategy: Strategy, budget: ThinkingBudget, reason: str) -> BadRequestError:
    """A search that the budget cannot hold: better refused than not done."""
    limit = f", limited by {budget.limited_by.value}" if budget.limited_by else ""
    return BadRequestError(
        f"{STRATEGY}: {strategy.name!r} {reason} (the budget is {budget.budget}{limit})",
        param=STRATEGY,
        code="budget_too_small",
    )
