"""A seal opens for its key, model and prompt only; every error says what would be right."""

from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.engine.scripted_model import RandomLogits
from tests.examples import examples
from tests.server.conftest import MODEL, VOCAB_SIZE, Serve, Served, make_profile
from tests.server.continuing.conftest import (
    CHAT,
    ENDPOINTS,
    FREE,
    INCLUDE,
    QUESTION,
    Endpoint,
    ask,
    refuse,
)
from tests.server.keys.conftest import ALICE, BOB, ServeKeys, to_bearer

SEALED = "continue_thinking.sealed"
BUDGET = {"max_thinking_tokens": 30, "min_thinking_tokens": 30}
TOOL = {"type": "function", "function": {"name": "count", "parameters": {"type": "object"}}}


async def cut(served: Served, endpoint: Endpoint = CHAT, /, **fields: Any) -> str:
    """Return a sealed thought of 29 tokens."""
    options = {"thinking_options": FREE, **INCLUDE, **BUDGET}
    sealed: str = (await ask(served, endpoint, **{**options, **fields}))["sealed"]
    return sealed


def go_on(sealed: Any, **more: Any) -> dict[str, Any]:
    return {"continue_thinking": {"sealed": sealed, "max_thinking_tokens": 20, **more}}


@pytest.mark.parametrize("name", ENDPOINTS)
@given(data=st.data())
@settings(
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_one_changed_byte_is_a_400(serve: Serve, name: str, data: st.DataObject) -> None:
    served, endpoint = serve(), ENDPOINTS[name]
    sealed = await cut(served, endpoint)
    place = data.draw(st.integers(0, len(sealed) - 1))
    byte = data.draw(st.characters(codec="ascii").filter(sealed[place].__ne__))
    changed = sealed[:place] + byte + sealed[place + 1 :]
    error = await refuse(served, endpoint, **go_on(changed))
    assert f"{SEALED}: was not made by this server, or has been changed" in error["message"]
    assert served.engine.num_running == 0
    shorter = await refuse(served, endpoint, **go_on(sealed[: place + 1][:-1] or "A"))
    assert SEALED in shorter["message"]


async def test_another_keys_seal_is_refused_like_a_changed_one(serve_keys: ServeKeys) -> None:
    served = serve_keys()
    served.http.headers.update(to_bearer(ALICE))
    sealed = await cut(served)
    assert (await ask(served, **go_on(sealed)))["continued"] == 29
    changed = await refuse(served, **go_on("A" + sealed[1:]))
    served.http.headers.update(to_bearer(BOB))
    assert await refuse(served, **go_on(sealed)) == changed


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"messages": [{"role": "user", "content": "How much?"}]}, "another prompt"),
        ({"messages": [*QUESTION, {"role": "assistant", "content": ""}]}, "another prompt"),
        ({"messages": [{"role": "system", "content": "Be brief."}, *QUESTION]}, "another prompt"),
        ({"tools": [TOOL]}, "another prompt"),
    ],
)
async def test_another_prompt_is_refused(serve: Serve, fields: dict[str, Any], word: str) -> None:
    served = serve()
    sealed = await cut(served)
    error = await refuse(served, **go_on(sealed), **fields)
    assert (error["param"], error["code"]) == (SEALED, "other_thought")
    assert word in error["message"]


async def test_tools_are_part_of_the_prompt(serve: Serve) -> None:
    served = serve()
    sealed = await cut(served, tools=[TOOL])
    assert (await ask(served, **go_on(sealed), tools=[TOOL]))["continued"] == 29
    assert "another prompt" in (await refuse(served, **go_on(sealed)))["message"]


async def test_another_model_and_other_markers_are_refused(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THINKING_SERVER_THOUGHT_KEYS", Fernet.generate_key().decode())
    here, other, others = serve(), serve(), serve(profile=make_profile(lead_in_token_ids=(40,)))
    sealed = await cut(here)
    assert (await ask(other, **go_on(sealed)))["continued"] == 29  # another replica
    assert "other thinking markers" in (await refuse(others, **go_on(sealed)))["message"]
    other.engine.model_name = "larger"
    error = await refuse(other, **go_on(sealed), model=None)
    assert f"of the model '{MODEL}', and this server serves 'larger'" in error["message"]
    assert error["param"] == SEALED


async def test_a_thought_of_a_conversation_is_not_one_that_was_cut(serve: Serve) -> None:
    served = serve()
    error = await refuse(served, **go_on(served.services.seal.seal("a thought")))
    assert "is not a thought that was cut" in error["message"]
    sealed = await cut(served)
    given = {"type": "reasoning", "summary": [], "encrypted_content": sealed}
    body = {"model": MODEL, "input": [given, {"role": "user", "content": "Hi"}]}
    response = await served.http.post("/v1/responses", json=body)
    assert response.status_code == 200  # left out, like any that cannot be opened
    assert "input[0]" in response.headers["x-ignored-fields"]


async def test_a_thought_too_long_for_the_context_is_refused(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    sealed = await cut(served)
    served_model = served.services.slot.model
    assert served_model is not None
    num_prompt = 30
    served_model._planner._context = num_prompt + 20
    error = await refuse(served, **go_on(sealed))
    assert (error["param"], error["code"]) == (SEALED, "thought_too_long")
    assert "the thought has 29 tokens" in error["message"]


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        (go_on(""), SEALED, "at least 1 character"),
        (go_on(5), SEALED, "valid string"),
        ({"continue_thinking": {}}, SEALED, "required"),
        ({"continue_thinking": {"max_thinking_tokens": 5}}, SEALED, "required"),
        ({"continue_thinking": "gAAA"}, "continue_thinking", "object"),
        (go_on("x", tokens=3), "continue_thinking.tokens", "unknown field"),
        (go_on("x", max_thinking_token=3), None, "'continue_thinking.max_thinking_tokens'"),
        (go_on("x", max_thinking_tokens=-2), "continue_thinking.max_thinking_tokens", "-1"),
        (go_on("x", max_thinking_tokens=5.0), "continue_thinking.max_thinking_tokens", "integer"),
        ({"continue_thoughts": {}}, "continue_thoughts", "unknown field"),
        ({"include": ["thinking.seal"]}, "include[0]", "should be 'thinking.sealed'"),
        ({"include": ["a", "thinking"]}, "include[1]", "should be 'thinking.sealed'"),
        ({"include": "thinking.sealed"}, "include", "array"),
    ],
)
@pytest.mark.parametrize("name", ENDPOINTS)
async def test_a_wrong_field_is_named(
    serve: Serve, name: str, fields: dict[str, Any], param: str | None, words: str
) -> None:
    error = await refuse(serve(), ENDPOINTS[name], **fields)
    assert words in error["message"]
    assert (param or "") in error["message"] + str(error.get("param"))


async def test_contradictions_are_named(serve: Serve) -> None:
    served = serve()
    sealed = await cut(served)
    same = await ask(served, **go_on(sealed), max_thinking_tokens=20)
    assert same["budget"] == 20
    for fields in (
        {"max_thinking_tokens": 21},
        {"thinking_budget": 0},
        {"enable_thinking": False},
        {"thinking_options": {"kind": "pause"}},
        {"thinking_options": {"gate": {"mode": "every", "tokens": 3, "opening": False}}},
    ):
        error = await refuse(served, **go_on(sealed), **fields)
        assert error["code"] == "contradictory_fields"
    assert (
        "prompt"
        in (
            await refuse(
                served, ENDPOINTS["completions"], **go_on(sealed), prompt=["How many?", "Why?"]
            )
        )["message"]
    )


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_other_values_of_include_are_named_and_ignored(serve: Serve, name: str) -> None:
    endpoint = ENDPOINTS[name]
    body = endpoint.make_body(include=["of.next.year", "thinking.sealed"], **BUDGET)
    response = await serve().http.post(endpoint.path, json=body)
    assert response.status_code == 200
    assert response.headers["x-ignored-fields"] == "include[0]"
    assert '"sealed"' in response.text
