"""Text to tokens and back, encoded exactly as for replies."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.examples import examples
from tests.server.conftest import MODEL, TOKENIZER, VOCAB_SIZE, Serve, Served, ids

MESSAGES = [{"role": "user", "content": "How many?"}]
CONTINUED = [*MESSAGES, {"role": "assistant", "content": "About"}]
TOOLS = [{"type": "function", "function": {"name": "count"}}]


async def tokenize(served: Served, **fields: Any) -> dict[str, Any]:
    """Return the reply for a text or a conversation."""
    response = await served.http.post("/tokenize", json=fields)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def detokenize(served: Served, tokens: list[int]) -> str:
    """Return the text of tokens."""
    response = await served.http.post("/detokenize", json={"model": MODEL, "tokens": tokens})
    assert response.status_code == 200, response.text
    return str(response.json()["prompt"])


@pytest.fixture
def served(serve: Serve) -> Served:
    """Server whose context has room for tools."""
    return serve(max_model_len=2048)


@settings(max_examples=examples(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30))
async def test_a_text_survives_the_round_trip(served: Served, text: str) -> None:
    reply = await tokenize(served, prompt=text, add_special_tokens=False)
    assert reply["count"] == len(reply["tokens"])
    assert await detokenize(served, reply["tokens"]) == text


async def test_a_text_is_what_a_completion_reads(served: Served) -> None:
    typed = "a</think><|im_end|>"
    reply = await tokenize(served, model=MODEL, prompt=typed, return_token_strs=True)
    assert reply["tokens"] == TOKENIZER.encode(typed, split_special_tokens=True)
    assert reply["token_strs"] == TOKENIZER.convert_ids_to_tokens(reply["tokens"])
    assert reply["max_model_len"] == served.engine.max_model_len
    await served.http.post("/v1/completions", json={"model": MODEL, "prompt": typed})
    assert served.engine.last_request is not None
    assert list(served.engine.last_request.prompt_token_ids) == reply["tokens"]
    assert (await tokenize(served, prompt="a"))["token_strs"] is None


async def test_a_conversation_is_what_a_chat_reads(served: Served) -> None:
    for fields in ({}, {"tools": TOOLS}, {"messages": CONTINUED, "continue_final_message": True}):
        asked: dict[str, Any] = {"messages": MESSAGES, **fields}
        reply = await tokenize(served, **asked)
        chat = (await served.chat(**asked)).json()
        assert served.engine.last_request is not None
        assert list(served.engine.last_request.prompt_token_ids) == reply["tokens"]
        assert chat["usage"]["prompt_tokens"] == reply["count"]


async def test_special_tokens_have_a_text_here(served: Served) -> None:
    assert await detokenize(served, list(ids("<think>a<|im_end|>"))) == "<think>a<|im_end|>"
    assert await detokenize(served, []) == ""


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/tokenize", {}, 400, None),
        ("/tokenize", {"prompt": "a", "messages": MESSAGES}, 400, None),
        ("/tokenize", {"prompt": "a", "add_generation_prompt": True}, 400, None),
        ("/tokenize", {"messages": []}, 400, "messages"),
        ("/tokenize", {"messages": MESSAGES, "continue_final_message": True}, 400, None),
        ("/tokenize", {"messages": MESSAGES, "tools": [{}]}, 400, "tools[0]"),
        ("/tokenize", {"prompt": "a", "tools": TOOLS}, 400, None),
        ("/tokenize", {"prompt": "a", "model": "other"}, 404, "model"),
        ("/tokenize", {"prompt": "a", "promt": "b"}, 400, "promt"),
        ("/detokenize", {"model": MODEL}, 400, "tokens"),
        ("/detokenize", {"tokens": [VOCAB_SIZE]}, 400, "tokens[0]"),
        ("/detokenize", {"tokens": [1, -1]}, 400, "tokens[1]"),
        ("/detokenize", {"tokens": [1, 2**70]}, 400, "tokens[1]"),
        ("/detokenize", {"tokens": ["a"]}, 400, "tokens[0]"),
        ("/detokenize", {"tokens": [1], "model": "other"}, 404, "model"),
    ],
)
async def test_what_is_wrong_is_named(
    served: Served, path: str, body: dict[str, Any], status: int, param: str | None
) -> None:
    response = await served.http.post(path, json=body)
    assert response.status_code == status, response.text
    assert response.json()["error"]["param"] == param


async def test_the_model_card_has_what_clients_read(served: Served) -> None:
    card = (await served.http.get(f"/v1/models/{MODEL}")).json()
    assert card["max_model_len"] == card["context_length"] == served.engine.max_model_len
    assert (card["root"], card["parent"], card["permission"]) == (MODEL, None, [])
    assert (await served.openai.models.retrieve(MODEL)).id == MODEL


async def test_the_tokenizer_is_described_for_lm_eval(served: Served) -> None:
    info = (await served.http.get("/tokenizer_info")).json()
    assert info["eos_token"] == "<|im_end|>"
    assert info["bos_token"] is None
    assert info["chat_template"] == TOKENIZER.chat_template
