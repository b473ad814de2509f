"""An invalid field of a text completion's body is named, with what is expected."""

from typing import Any, get_type_hints

import pytest
from openai.types.chat import completion_create_params
from openai.types.completion_create_params import CompletionCreateParamsStreaming
from vllm.entrypoints.openai.chat_completion import protocol as vllm_chat
from vllm.entrypoints.openai.completion import protocol as vllm_text

from server.api.openai.chat.protocol import ChatCompletionRequest
from server.api.openai.completions.protocol import CompletionRequest
from server.dialects.reading import TREE
from tests.server.api.openai.completions.requests import get_refusal, post
from tests.server.conftest import VOCAB_SIZE, Serve, wants

BAD: list[tuple[dict[str, Any], str | None, str]] = [
    ({"prompt": 3}, "prompt", "a list of token ids"),
    ({"prompt": {}}, "prompt", "a list of strings"),
    ({"prompt": []}, "prompt", "empty"),
    ({"prompt": [[]]}, "prompt", "empty"),
    ({"prompt": ["a", 3]}, "prompt", "prompt[1]"),
    ({"prompt": [3, "a"]}, "prompt", "prompt[0]"),
    ({"prompt": [[3], "a"]}, "prompt", "prompt[1]"),
    ({"prompt": [[3], [True]]}, "prompt", "prompt[1]"),
    ({"prompt": [1.5]}, "prompt", "prompt[0]"),
    ({"prompt": [VOCAB_SIZE]}, "prompt[0]", f"to {VOCAB_SIZE - 1}"),
    ({"prompt": [[1], [1, -1]]}, "prompt[1][1]", f"to {VOCAB_SIZE - 1}"),
    ({"prompt": [[1], [10**30]]}, "prompt[1][0]", f"to {VOCAB_SIZE - 1}"),
    ({"prompt": ["a"] * 257}, "prompt", "256"),
    ({"prompt": ["a"] * 100, "n": 3}, None, "256"),
    ({"max_tokens": 0}, None, "echo"),
    ({"max_tokens": -1}, "max_tokens", "0"),
    ({"n": 17}, "n", "16"),
    ({"best_of": 2}, None, "best_of"),
    ({"n": 3, "best_of": 2}, None, "best_of"),
    ({"logprobs": True}, "logprobs", "integer"),
    ({"logprobs": 21}, "logprobs", "20"),
    ({"suffix": "b"}, "suffix", "not supported"),
    ({"prompt_embeds": "x"}, "prompt_embeds", "not supported"),
    ({"stop_token_ids": [VOCAB_SIZE]}, "stop_token_ids[0]", f"to {VOCAB_SIZE - 1}"),
    ({"min_tokens": 17, "max_thinking_tokens": 0}, "min_tokens", "16"),
    ({"max_completion_tokens": 3}, "max_completion_tokens", "max_tokens"),
    ({"messages": []}, "messages", "/v1/chat/completions"),
    ({"think": 3}, "think", ""),
    (
        {"thinking_options": {"strategy": {"name": "reward"}}},
        "thinking_options.strategy",
        "reward",
    ),
]


@pytest.mark.parametrize(("fields", "param", "words"), BAD)
async def test_what_is_wrong_is_named(
    serve: Serve, fields: dict[str, Any], param: str | None, words: str
) -> None:
    error = await get_refusal(serve(wants("ok")), **fields)
    assert error["param"] == param
    assert words in error["message"]


NEUTRAL: dict[str, Any] = {
    "use_beam_search": False,
    "length_penalty": 1.0,
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "include_stop_str_in_output": False,
    "return_token_ids": False,
    "return_tokens_as_token_ids": None,
    "return_token_offsets": False,
    "bad_words": [],
    "priority": 1,
    "session_id": "s",
    "user": "u",
    "min_tokens": 0,
    "ignore_eos": False,
    "stop_token_ids": [],
    "best_of": 1,
    "suffix": "",
    "add_special_tokens": True,
}
HARMFUL: dict[str, Any] = {
    "use_beam_search": True,
    "length_penalty": 2.0,
    "skip_special_tokens": False,
    "include_stop_str_in_output": True,
    "return_token_ids": True,
    "prompt_logprobs": 1,
    "logprob_token_ids": [1],
    "bad_words": ["x"],
    "truncate_prompt_tokens": 4,
    "cache_salt": "x",
    "vllm_xargs": {"a": 1},
    "repetition_detection": {},
}


async def test_vllms_fields_are_accepted_if_they_have_no_effect(serve: Serve) -> None:
    served = serve(wants("ok"))
    plain = (await post(served)).json()["choices"][0]["text"]
    assert (await post(served, **NEUTRAL)).json()["choices"][0]["text"] == plain
    of_both = {key: value for key, value in NEUTRAL.items() if key not in ("best_of", "suffix")}
    response = await served.chat(**of_both | {"add_special_tokens": False, "echo": False})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("name", HARMFUL)
async def test_vllms_fields_are_refused_by_name_if_they_have_an_effect(
    serve: Serve, name: str
) -> None:
    served = serve(wants("ok"))
    for response in (
        await post(served, **{name: HARMFUL[name]}),
        await served.chat(**{name: HARMFUL[name]}),
    ):
        assert response.status_code == 400
        error = response.json()["error"]
        assert error["param"] == name
        assert error["code"] == "invalid_value"
        assert "not supported" in error["message"]


async def test_another_model_is_a_404(serve: Serve) -> None:
    response = await post(serve(wants("ok")), model="other")
    assert response.status_code == 404
    assert response.json()["error"]["param"] == "model"


def test_every_field_of_vllm_and_openai_is_known() -> None:
    """None is unknown but an id for vLLM's own log, which is ignored and named."""
    thinking_fields = {*TREE, "request_id"}
    of_text = {*CompletionRequest.model_fields, *thinking_fields}
    assert set(vllm_text.CompletionRequest.model_fields) - of_text == set()
    assert set(get_type_hints(CompletionCreateParamsStreaming)) - of_text == set()
    of_chat = {*ChatCompletionRequest.model_fields, *thinking_fields}
    assert set(vllm_chat.ChatCompletionRequest.model_fields) - of_chat == set()
    assert set(get_type_hints(completion_create_params.CompletionCreateParamsStreaming)) <= of_chat
