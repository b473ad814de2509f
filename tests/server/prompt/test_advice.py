"""Advice is given where it is due, never where it is not, and can be switched off."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.prompt.advice import LARGE_CONTEXT, STEP_BY_STEP, advise_on_prompt
from tests.server.conftest import Serve, wants


def make_message(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    "text",
    [
        "What is 2+2? Think step by step.",
        "Reason about this carefully, step-by-step, and answer.",
        "LET'S THINK about it",
        "Use chain-of-thought.",
        "Explain your reasoning.",
    ],
)
def test_who_asks_to_think_is_told_that_it_is_done_anyway(text: str) -> None:
    assert advise_on_prompt([make_message(text)]) == (STEP_BY_STEP,)
    assert advise_on_prompt([{"role": "system", "content": text}, make_message("2+2?")]) == (
        STEP_BY_STEP,
    )
    assert advise_on_prompt([make_message([{"type": "text", "text": text}])]) == (STEP_BY_STEP,)


@pytest.mark.parametrize(
    "text",
    [
        "Give me a step by step guide to baking bread.",
        "What does the author think of the first step?",
        "Explain the reasoning of Kant.",
        "",
    ],
)
def test_who_asks_for_something_else_is_left_alone(text: str) -> None:
    assert advise_on_prompt([make_message(text)]) == ()


def test_what_the_assistant_wrote_is_not_the_clients() -> None:
    said = {"role": "assistant", "content": "Let's think step by step."}
    assert advise_on_prompt([make_message("hi"), said, make_message("and?")]) == ()


def test_a_context_that_dwarfs_the_question_is_pointed_out() -> None:
    question = "Who wrote it?" * 10
    assert advise_on_prompt([make_message("x" * 16_000), make_message(question)]) == (
        LARGE_CONTEXT,
    )
    assert advise_on_prompt([make_message("x" * 5_000), make_message(question)]) == ()
    assert advise_on_prompt([make_message("x" * 16_000), make_message("y" * 16_000)]) == ()


@given(st.lists(st.builds(make_message, st.text() | st.none()), max_size=4))
def test_any_conversation_can_be_advised_on(messages: list[dict[str, Any]]) -> None:
    advise_on_prompt(messages)


@pytest.mark.parametrize(
    ("options", "fields", "advised"),
    [
        ({}, {}, True),
        ({"advice": False}, {}, False),
        ({}, {"max_thinking_tokens": 0}, False),
    ],
)
async def test_advice_is_in_the_receipt_where_the_model_thinks(
    serve: Serve, options: dict[str, Any], fields: dict[str, Any], advised: bool
) -> None:
    served = serve(wants("hm</think>4"), **options)
    reply = await served.chat(messages=[make_message("Think step by step: 2+2?")], **fields)
    receipt = reply.json()["choices"][0]["thinking"]
    assert receipt["advice"] == ([STEP_BY_STEP] if advised else [])
