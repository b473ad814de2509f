"""Resolution of several fields of a body about the same thing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.dialects.claims import Claim, ClaimKind
from server.dialects.resolution import resolve_claims
from server.errors.api import BadRequestError
from tests.server.conftest import Serve, wants
from thinking.budget import Effort

# Fields in conflict, and the two that the error must name.
CONTRADICTIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"max_thinking_tokens": 5, "thinking_budget": 6}, "max_thinking_tokens", "thinking_budget"),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 5}, "reasoning": {"max_tokens": 6}},
        "thinking.budget_tokens",
        "reasoning.max_tokens",
    ),
    ({"reasoning_effort": "low", "think": "high"}, "reasoning_effort", "think"),
    ({"reasoning": {"max_tokens": 9, "effort": "low"}}, "reasoning.max_tokens", "reasoning.effort"),
    ({"reasoning_effort": "none", "max_thinking_tokens": 5}, "reasoning_effort", "max_thinking"),
    ({"enable_thinking": False, "thinking_budget": 5}, "enable_thinking", "thinking_budget"),
    ({"enable_thinking": True, "thinking_budget": 0}, "enable_thinking", "thinking_budget"),
    ({"enable_thinking": False, "reasoning_effort": "low"}, "enable_thinking", "reasoning_effort"),
    ({"think": True, "reasoning_effort": "none"}, "think", "reasoning_effort"),
    ({"thinking": {"type": "disabled", "budget_tokens": 5}}, "thinking.type", "budget_tokens"),
    (
        {"enable_thinking": True, "chat_template_kwargs": {"enable_thinking": False}},
        "enable_thinking",
        "chat_template_kwargs.enable_thinking",
    ),
    ({"think_budget": 0.5, "thinking_budget": 5, "max_tokens": 9}, "think_budget", "thinking"),
    (
        {"include_reasoning": True, "reasoning": {"exclude": True}},
        "include_reasoning",
        "reasoning.exclude",
    ),
    (
        {"thinking": {"type": "enabled", "display": "omitted"}, "include_reasoning": True},
        "thinking.display",
        "include_reasoning",
    ),
    (
        {"reasoning_budget_message": "so.", "thinking_options": {"wrap_up": "thus."}},
        "reasoning_budget_message",
        "thinking_options.wrap_up",
    ),
]

# Fields that agree, and the budget and source that follow.
AGREEMENTS: list[tuple[dict[str, Any], int, str]] = [
    ({"max_thinking_tokens": 5, "thinking_budget": 5}, 5, "max_thinking_tokens"),
    ({"thinking_budget": 5, "max_thinking_tokens": 5}, 5, "thinking_budget"),
    ({"reasoning_effort": "high", "thinking_budget": 7}, 7, "thinking_budget"),
    ({"reasoning_effort": "high", "max_thinking_tokens": 0}, 0, "max_thinking_tokens"),
    ({"reasoning_effort": "none", "enable_thinking": False}, 0, "enable_thinking"),
    ({"thinking": {"type": "enabled", "budget_tokens": 7}}, 7, "thinking.budget_tokens"),
    ({"thinking": {"type": "adaptive", "budget_tokens": 0}}, 60, "default"),
    ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, 40, "output_config"),
    ({"max_thinking_tokens": -1, "reasoning_budget_tokens": 7}, 7, "reasoning_budget_tokens"),
    ({"think": True}, 60, "default"),
    ({"think_budget": 7}, 7, "think_budget"),
]


@pytest.mark.parametrize(("fields", "one", "other"), CONTRADICTIONS)
async def test_contradicting_fields_are_both_named(
    serve: Serve, fields: dict[str, Any], one: str, other: str
) -> None:
    reply = await serve().chat(**fields)
    assert reply.status_code == 400
    error = reply.json()["error"]
    assert error["code"] == "contradictory_fields"
    assert one in error["message"]
    assert other in error["message"]


@pytest.mark.parametrize(("fields", "budget", "source"), AGREEMENTS)
async def test_agreeing_fields_set_one_budget(
    serve: Serve, fields: dict[str, Any], budget: int, source: str
) -> None:
    served = serve(
        wants("well " * 99), default_thinking_tokens=60, effort_tokens={"low": 40, "high": 90}
    )
    receipt = (await served.chat(**fields)).json()["choices"][0]["thinking"]
    assert receipt["budget"] == budget
    assert receipt["source"].startswith(source)


async def test_a_requested_thought_is_generated_even_if_the_default_is_none(serve: Serve) -> None:
    served = serve(wants("well " * 99), default_thinking_tokens=0, effort_tokens={"medium": 50})
    receipt = (await served.chat(enable_thinking=True)).json()["choices"][0]["thinking"]
    assert (receipt["budget"], receipt["source"]) == (50, "enable_thinking")


async def test_a_share_needs_a_reply_limit(serve: Serve) -> None:
    error = (await serve().chat(think_budget=0.5)).json()["error"]
    assert error["param"] == "think_budget"
    assert "max_tokens" in error["message"]


CLAIMS = st.lists(
    st.one_of(
        st.builds(Claim, st.sampled_from("ab"), st.just(ClaimKind.TOKENS), st.integers(0, 2)),
        st.builds(Claim, st.sampled_from("cd"), st.just(ClaimKind.EFFORT), st.sampled_from(Effort)),
        st.builds(Claim, st.sampled_from("ef"), st.just(ClaimKind.SWITCH), st.booleans()),
        st.builds(Claim, st.sampled_from("gh"), st.just(ClaimKind.SHOW), st.booleans()),
    ),
    max_size=5,
)


@given(CLAIMS, st.randoms(use_true_random=False))
def test_a_resolution_does_not_depend_on_the_order_of_fields(
    claims: list[Claim], random: Any
) -> None:
    shuffled = random.sample(claims, len(claims))
    assert _resolve(claims) == _resolve(shuffled)


@given(CLAIMS)
def test_no_claim_is_ever_ignored(claims: list[Claim]) -> None:
    """Each is among the parameters, or there is an error."""
    try:
        params = resolve_claims(claims)
    except BadRequestError:
        return
    resolved = {ClaimKind.TOKENS: params.tokens, ClaimKind.EFFORT: params.effort}
    resolved |= {ClaimKind.SWITCH: params.switch, ClaimKind.SHOW: params.show}
    for claim in claims:
        parameter = resolved[claim.kind]
        assert parameter is not None
        assert parameter.value == claim.value


def _resolve(claims: list[Claim]) -> Any:
    """Return the values of the parameters, whichever fields set them."""
    try:
        params = resolve_claims(claims)
    except BadRequestError:
        return "contradiction"
    resolved = (params.tokens, params.effort, params.switch, params.show)
    return [claim and claim.value for claim in resolved]
