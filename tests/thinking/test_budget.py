"""Laws 3 and 11: which field sets a budget, what limits it, and what the answer keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinking.budget import (
    BudgetError,
    BudgetPolicy,
    BudgetRequest,
    Effort,
    LimitedBy,
    ThinkingBudget,
    resolve_budget,
)

POLICY = BudgetPolicy(default_tokens=100)
tokens = st.integers(0, 5000)
maybe_tokens = st.none() | tokens
limits = st.integers(1, 5000)


def resolve(
    request: BudgetRequest,
    policy: BudgetPolicy = POLICY,
    *,
    max_completion_tokens: int | None = None,
    context_left: int = 100_000,
) -> ThinkingBudget:
    return resolve_budget(
        request, policy, max_completion_tokens=max_completion_tokens, context_left=context_left
    )


@given(
    request=st.builds(
        BudgetRequest,
        max_thinking_tokens=maybe_tokens,
        effort=st.none() | st.sampled_from(Effort),
        answer_reserve=maybe_tokens,
        grace=st.none() | tokens | st.floats(0, 1),
    ),
    policy=st.builds(
        BudgetPolicy,
        default_tokens=maybe_tokens,
        model_ceiling=maybe_tokens,
        key_ceiling=maybe_tokens,
    ),
    max_completion_tokens=st.none() | limits,
    context_left=limits,
)
def test_thought_and_answer_reserve_always_fit_the_reply(
    request: BudgetRequest,
    policy: BudgetPolicy,
    max_completion_tokens: int | None,
    context_left: int,
) -> None:
    try:
        budget = resolve(
            request, policy, max_completion_tokens=max_completion_tokens, context_left=context_left
        )
    except BudgetError as error:
        assert error.param == "thinking_options.answer_reserve"
        return
    assert budget.answer_reserve >= 1
    assert 0 <= budget.budget <= budget.max_tokens - budget.answer_reserve
    assert budget.max_tokens == min(context_left, max_completion_tokens or context_left)
    assert 0 <= budget.grace_tokens <= budget.budget
    for ceiling in (policy.model_ceiling, policy.key_ceiling, request.max_thinking_tokens):
        assert ceiling is None or budget.budget <= ceiling
    if budget.limited_by is None and budget.requested is not None:
        assert budget.budget == budget.requested


def test_explicit_beats_effort_and_effort_beats_default() -> None:
    assert resolve(BudgetRequest()).budget == 100
    effort = resolve(BudgetRequest(effort=Effort.LOW))
    assert (effort.budget, effort.source, effort.requested) == (1024, "reasoning_effort", 1024)
    both = resolve(BudgetRequest(max_thinking_tokens=7, effort=Effort.LOW))
    assert (both.budget, both.source, both.requested) == (7, "max_thinking_tokens", 7)


def test_effort_none_gives_no_budget() -> None:
    assert resolve(BudgetRequest(effort=Effort.NONE)).budget == 0


def test_effort_max_fills_the_ceiling_without_being_limited() -> None:
    budget = resolve(BudgetRequest(effort=Effort.MAX), BudgetPolicy(model_ceiling=5000))
    assert (budget.budget, budget.limited_by) == (5000, None)


@pytest.mark.parametrize(
    ("policy", "limits", "limited_by", "budget"),
    [
        (BudgetPolicy(model_ceiling=50), {}, LimitedBy.MODEL, 50),
        (BudgetPolicy(key_ceiling=40), {}, LimitedBy.KEY, 40),
        (POLICY, {"max_completion_tokens": 80}, LimitedBy.MAX_COMPLETION_TOKENS, 60),
        (POLICY, {"context_left": 80}, LimitedBy.CONTEXT, 60),
        (
            BudgetPolicy(model_ceiling=50),
            {"max_completion_tokens": 40},
            LimitedBy.MAX_COMPLETION_TOKENS,
            30,
        ),
    ],
)
def test_the_receipt_names_the_limit_that_applied(
    policy: BudgetPolicy, limits: dict[str, int], limited_by: LimitedBy, budget: int
) -> None:
    resolved = resolve(BudgetRequest(max_thinking_tokens=90), policy, **limits)
    assert (resolved.limited_by, resolved.budget) == (limited_by, budget)


def test_the_default_reserve_is_a_quarter_but_at_most_1024_and_at_least_1() -> None:
    request = BudgetRequest(max_thinking_tokens=0)
    for max_completion_tokens, reserve in ((1, 1), (3, 1), (400, 100), (50_000, 1024)):
        resolved = resolve(request, max_completion_tokens=max_completion_tokens)
        assert resolved.answer_reserve == reserve


def test_a_reserve_larger_than_the_reply_is_refused_by_name() -> None:
    with pytest.raises(BudgetError, match="answer_reserve") as caught:
        resolve(BudgetRequest(answer_reserve=11), max_completion_tokens=10)
    assert caught.value.param == "thinking_options.answer_reserve"


def test_grace_is_a_share_or_a_count_and_a_tenth_by_default() -> None:
    graces = ((None, 10), (0.25, 25), (1.0, 100), (7, 7), (1, 1), (0, 0), (1000, 100))
    for grace, expected in graces:
        resolved = resolve(BudgetRequest(max_thinking_tokens=100, grace=grace))
        assert resolved.grace_tokens == expected


@given(
    effort=st.none() | st.sampled_from(Effort),
    minimum=maybe_tokens,
    ceiling=maybe_tokens,
    share=st.floats(0.01, 1),
    more=st.floats(0, 1),
    max_completion_tokens=st.none() | limits,
)
def test_load_only_shrinks_and_never_below_the_requested_minimum(
    effort: Effort | None,
    minimum: int | None,
    ceiling: int | None,
    share: float,
    more: float,
    max_completion_tokens: int | None,
) -> None:
    def resolve_at(load_share: float) -> ThinkingBudget:
        request = BudgetRequest(effort=effort, min_thinking_tokens=minimum)
        policy = BudgetPolicy(default_tokens=1000, model_ceiling=ceiling, load_share=load_share)
        return resolve(request, policy, max_completion_tokens=max_completion_tokens)

    idle, loaded = resolve_at(1.0), resolve_at(share)
    assert int(share * idle.budget) <= loaded.budget <= idle.budget
    assert loaded.budget >= min(minimum or 0, idle.budget)
    assert (loaded.limited_by is LimitedBy.LOAD) == (loaded.budget < idle.budget)
    assert loaded.requested == idle.requested
    assert loaded.budget <= resolve_at(min(1.0, share + more)).budget


@given(count=tokens, effort=st.none() | st.sampled_from(Effort), share=st.floats(0.01, 1))
def test_load_never_shrinks_an_explicit_count(
    count: int, effort: Effort | None, share: float
) -> None:
    request = BudgetRequest(max_thinking_tokens=count, effort=effort)
    assert resolve(request, BudgetPolicy(load_share=share)) == resolve(request, BudgetPolicy())
