"""How long a reply may be: all of it, or its answer alone. Knows no prompt."""

from dataclasses import dataclass, replace

from thinking.budget import BudgetPolicy, BudgetRequest, ThinkingBudget, resolve_budget


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """`total` holds for thought and answer together, `answer` for the answer alone;
    `key_ceiling` for the thought.

    None: the context's. With a limit of the answer the thought comes on top of it.
    `load_share`: what load leaves of a budget that the request has not named in tokens.
    """

    total: int | None = None
    answer: int | None = None
    key_ceiling: int | None = None
    load_share: float = 1.0

    @property
    def without_load(self) -> "ReplyLimits":
        """The same on an idle server."""
        return replace(self, load_share=1.0)

    def resolve(
        self, ask: BudgetRequest, policy: BudgetPolicy, context_left: int
    ) -> ThinkingBudget:
        """The budget of a reply under these limits.

        Raises:
            BudgetError: see :func:`thinking.budget.resolve_budget`.
        """
        policy = replace(policy, key_ceiling=self.key_ceiling, load_share=self.load_share)
        if self.answer is None:
            return resolve_budget(
                ask, policy, max_completion_tokens=self.total, context_left=context_left
            )
        # No longer an answer than this can come: more need not be kept for it.
        reserved = replace(ask, answer_reserve=self.answer)
        budget = resolve_budget(
            reserved, policy, max_completion_tokens=self.total, context_left=context_left
        )
        longest = budget.budget + self.answer
        return replace(budget, max_tokens=min(budget.max_tokens, longest))
