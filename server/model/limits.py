"""Limits on the length of a reply and of its answer. Knows no prompt."""

from dataclasses import dataclass, replace

from thinking.budget import BudgetPolicy, BudgetRequest, ThinkingBudget, resolve_budget


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """Limits of a reply, in tokens; None: limited by the context only.

    `total` limits thought and answer together, `answer` the answer alone (the thought is added to
    it), and `key_ceiling` the thought. `load_share` is the fraction that load leaves of a budget
    that was not requested in tokens, `turn_left` what the request's turn leaves for the thought.
    """

    total: int | None = None
    answer: int | None = None
    key_ceiling: int | None = None
    load_share: float = 1.0
    turn_left: int | None = None

    @property
    def without_load(self) -> "ReplyLimits":
        """The same limits on an idle server."""
        return replace(self, load_share=1.0)

    def resolve(
        self, request: BudgetRequest, policy: BudgetPolicy, context_left: int
    ) -> ThinkingBudget:
        """Return the budget of a reply under these limits.

        Raises:
            BudgetError: see :func:`thinking.budget.resolve_budget`.
        """
        policy = replace(
            policy,
            key_ceiling=self.key_ceiling,
            load_share=self.load_share,
            turn_left=self.turn_left,
        )
        if self.answer is None:
            return resolve_budget(
                request, policy, max_completion_tokens=self.total, context_left=context_left
            )
        # The answer cannot be longer than this, so nothing more is reserved for it.
        reserved = replace(request, answer_reserve=self.answer)
        budget = resolve_budget(
            reserved, policy, max_completion_tokens=self.total, context_left=context_left
        )
        longest = budget.budget + self.answer
        # If the thought is extended, so is the reply: `max_reply_tokens` stays.
        return replace(budget, max_tokens=min(budget.max_tokens, longest))
