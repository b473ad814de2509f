"""Resolves the budget and plan of a prompt from its tokens and the requested options.

The budget depends on the prompt's length, and without a thought the prompt may need additional
tokens that close it; this module resolves both together. Renders no template and knows no engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from server.errors.api import BadRequestError, PromptTooLongError
from server.model.branch_budget import too_small_error
from server.model.earlier_thought import check_fits, get_closing, go_on_from
from server.model.limits import ReplyLimits
from server.model.thought_planner import ThoughtPlanner
from server.prompt.conversation import Conversation, PlainPrompt
from server.prompt.cut_thought import CutThought
from server.prompt.forgery import ForgeryGuard
from server.prompt.plain_prompt import find_start_token_ids
from server.prompt.prepared_prompt import PreparedPrompt
from server.settings.settings import ServerSettings
from thinking.budget import (
    DEFAULT_EFFORT_TOKENS,
    BudgetPolicy,
    BudgetRequest,
    ThinkingBudget,
    to_grace_tokens,
)
from thinking.markers.fragments import FragmentEncoder
from thinking.markers.profile import MarkerProfile, Opening
from thinking.plan import ThinkingPlan, count_marker_tokens
from thinking.strategies.protocol import Strategy

NATIVE_DEFAULT_TOKENS = 4096
PRIMED_DEFAULT_TOKENS = 128  # more gains little on models that were not trained to think


@dataclass(frozen=True, slots=True)
class PromptDraft:
    """A rendered prompt with the options for its plan. `earlier` is a thought that goes on."""

    prompt: Conversation | PlainPrompt
    token_ids: Sequence[int]
    request: BudgetRequest
    limits: ReplyLimits
    earlier: CutThought | None = None

    def with_thought(self, thought: CutThought) -> "PromptDraft":
        """Return the draft whose prompt ends with `thought`."""
        token_ids = [*self.token_ids, *thought.kept.token_ids]
        return replace(self, token_ids=token_ids, earlier=thought)

    @property
    def without_thought(self) -> "PromptDraft":
        """The same draft where the turn has nothing left: no option can need part of a budget."""
        request = replace(
            self.request, strategy=None, wrap_up=None, min_thinking_tokens=None, segments=None
        )
        return replace(self, request=request, limits=replace(self.limits, turn_left=0))


class PromptPlanner:
    """Plans the prompts of one model. `context` is its context length in tokens."""

    def __init__(
        self,
        profile: MarkerProfile,
        tokenizer: PreTrainedTokenizerBase,
        policy: BudgetPolicy,
        context: int,
        guarded_texts: Sequence[str],
    ) -> None:
        self._profile = profile
        self._tokenizer = tokenizer
        self._policy = policy
        self._context = context
        encoder = FragmentEncoder(tokenizer)
        guard = ForgeryGuard(tokenizer, guarded_texts)
        self._planner = ThoughtPlanner(profile, encoder, guard)
        self._inner_planner = ThoughtPlanner(profile.inside_text, encoder, guard)

    def encode_words(self, text: str) -> tuple[int, ...] | None:
        """Return the tokens of a caller's text inside a thought; None: it has control tokens."""
        return self._planner.encode_words(text)

    def plan(self, draft: PromptDraft, earlier: CutThought | None = None) -> PreparedPrompt:
        """Resolve the budget of `draft` and plan its thought; `earlier` is one that goes on.

        Raises:
            BudgetError, BadRequestError: the prompt is too long, or an option does not fit.
        """
        if not draft.token_ids and isinstance(draft.prompt, PlainPrompt):
            start = find_start_token_ids(draft.prompt, self._tokenizer)
            draft = replace(draft, token_ids=start)
        num_visible = len(draft.token_ids)
        if earlier is None:
            return self._plan_under_load(draft)
        check_fits(num_visible, len(earlier.kept.token_ids), self._context)
        prepared = self._plan_under_load(draft.with_thought(earlier))
        return replace(prepared, num_continued=len(earlier.kept.token_ids), num_visible=num_visible)

    def _plan_under_load(self, draft: PromptDraft) -> PreparedPrompt:
        try:
            return self._plan(draft)
        except BadRequestError:
            if draft.limits.turn_left is not None:
                # The options fit the request's own budget, but not what the turn has left of it.
                return self._plan(draft.without_thought)
            if draft.limits.load_share == 1:
                raise
        # The budget that load leaves may be too small for an option that fits the whole budget.
        return self._plan(replace(draft, limits=draft.limits.without_load))

    def _plan(self, draft: PromptDraft) -> PreparedPrompt:
        if draft.request.strategy is not None:
            return self._prepare_search(draft, draft.request.strategy)
        prepared = self._plan_with_budget(draft)
        if prepared.plan.opens:
            return prepared
        if closing := self._get_closing(draft):
            closed = [*draft.token_ids, *closing]
            prepared = self._plan_with_budget(replace(draft, token_ids=closed))
        if prepared.plan.thinks:
            return prepared
        return replace(prepared, advice=self._make_advice(prepared.budget, draft))

    def _get_closing(self, draft: PromptDraft) -> Sequence[int]:
        """Return the tokens that close a thought in the prompt: an earlier, or a template's."""
        if draft.earlier is not None:
            return get_closing(draft.earlier, self._profile)
        return () if draft.prompt.continues else self._profile.no_thought_token_ids

    def _plan_with_budget(self, draft: PromptDraft) -> PreparedPrompt:
        budget = self._resolve(draft)
        return self._to_prepared(draft, budget, self._make_plan(draft, budget))

    def _make_plan(self, draft: PromptDraft, budget: ThinkingBudget) -> ThinkingPlan:
        planner, earlier = self._choose_planner(draft), draft.earlier
        plan = planner.plan(draft.request, budget, continues=earlier is not None)
        return plan if earlier is None else go_on_from(earlier, plan, draft.request.loop_guard)

    def _choose_planner(self, draft: PromptDraft) -> ThoughtPlanner:
        return self._inner_planner if draft.prompt.continues else self._planner

    def _choose_profile(self, draft: PromptDraft) -> MarkerProfile:
        profile = self._profile
        if draft.earlier is not None:
            return replace(profile, opening=Opening.PROMPT)  # the thought is open
        return profile.inside_text if draft.prompt.continues else profile

    def _to_prepared(
        self, draft: PromptDraft, budget: ThinkingBudget, plan: ThinkingPlan
    ) -> PreparedPrompt:
        context_left = self._context - len(draft.token_ids)
        return PreparedPrompt(
            draft.token_ids,
            budget,
            plan,
            context_left,
            context_left - budget.answer_reserve,
            continues=draft.prompt.continues,
        )

    def _prepare_search(self, draft: PromptDraft, strategy: Strategy) -> PreparedPrompt:
        """Prepare a search: the budget is for all branches together, the plan for one of them.

        A branch may take as much as a single thought could: the whole budget, if it fits the
        context.
        """
        alone = self._resolve(draft)
        # Branches are separate requests, so together they may be longer than the context.
        budget = self._resolve(draft, strategy.num_branches)
        context_left = self._context - len(draft.token_ids)
        thought_room = context_left - min(alone.answer_reserve, context_left)
        thought_tokens = min(budget.budget, thought_room)
        grace = to_grace_tokens(draft.request.grace, thought_tokens)
        branch = replace(budget, budget=thought_tokens, grace_tokens=grace)
        plan = self._make_plan(draft, branch)
        if not plan.opens:
            num_markers = count_marker_tokens(self._choose_profile(draft))
            raise too_small_error(strategy, budget, num_markers)
        prepared = self._to_prepared(draft, budget, plan)
        return replace(prepared, thought_room=thought_room)

    def _resolve(self, draft: PromptDraft, num_branches: int = 1) -> ThinkingBudget:
        context, num_prompt_tokens = self._context, len(draft.token_ids)
        if num_prompt_tokens >= context:
            raise PromptTooLongError(num_prompt_tokens, context, param=draft.prompt.field)
        return draft.limits.resolve(
            draft.request, self._policy, (context - num_prompt_tokens) * num_branches
        )

    def _make_advice(self, budget: ThinkingBudget, draft: PromptDraft) -> tuple[str, ...]:
        if not budget.budget:
            return ()
        num_markers = count_marker_tokens(self._choose_profile(draft))
        text = f"this model's markers ({num_markers} tokens) do not fit a budget of {budget.budget}"
        return (f"{text}, so it did not think",)


def make_budget_policy(settings: ServerSettings, *, native: bool) -> BudgetPolicy:
    """Return the operator's budget policy. `native`: the model was trained to think."""
    default = settings.default_thinking_tokens
    if default is None:
        default = NATIVE_DEFAULT_TOKENS if native else PRIMED_DEFAULT_TOKENS
    return BudgetPolicy(
        default_tokens=default,
        effort_tokens={**DEFAULT_EFFORT_TOKENS, **settings.effort_tokens},
        model_ceiling=settings.max_thinking_tokens,
    )
