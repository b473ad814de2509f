"""A sampling field is declared twice, under one name, and reaches the engine by that name."""

from collections.abc import AsyncGenerator
from dataclasses import fields, replace
from typing import Any

import pytest

from server.api.openai.chat.protocol import ChatCompletionRequest
from server.engine.protocol import EngineOutput, EngineRequest, SamplingSettings
from server.engine.vllm_messages import to_sampling_params
from tests.server.conftest import Serve, wants
from thinking.plan import ThinkingPlan
from thinking.vllm_plugin.nucleus import NUCLEUS_KEY

# Set from other fields of a body.
DERIVED = {"max_tokens", "num_logprobs", "thought"}
SENT: dict[str, Any] = {
    "temperature": 0.3,
    "top_p": 0.4,
    "top_k": 5,
    "min_p": 0.1,
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.6,
    "repetition_penalty": 1.1,
    "logit_bias": {"3": 2.0},
    "ignore_eos": True,
    "min_tokens": 2,
    "allowed_token_ids": [3, 4],
}
NAMES = [field.name for field in fields(SamplingSettings) if field.name not in DERIVED]


def test_every_setting_is_a_field_of_a_body() -> None:
    assert set(NAMES) <= set(ChatCompletionRequest.model_fields)
    assert set(NAMES) == set(SENT)


@pytest.mark.parametrize("name", NAMES)
async def test_a_sampling_field_reaches_the_engine_by_its_name(serve: Serve, name: str) -> None:
    served = serve(wants("</think>yes"))
    requests: list[EngineRequest] = []
    generate = served.engine.generate

    def watch(request: EngineRequest) -> AsyncGenerator[EngineOutput, None]:
        requests.append(request)
        return generate(request)

    served.engine.generate = watch  # type: ignore[method-assign]
    fields_sent = {name: SENT[name], "max_thinking_tokens": 0}
    response = await served.chat(**fields_sent)
    assert response.status_code == 200, response.text
    value = getattr(requests[-1].sampling, name)
    expected = {3: 2.0} if name == "logit_bias" else SENT[name]
    if name == "logit_bias":
        value = {3: value[3]}
    assert (list(value) if isinstance(value, tuple) else value) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_reaches_vllm_by_its_name(name: str) -> None:
    value: Any = {3: 2.0} if name == "logit_bias" else SENT[name]
    settings = SamplingSettings(max_tokens=9, **{name: value})
    params = to_sampling_params(EngineRequest("r", [1], settings, ThinkingPlan()))
    assert getattr(params, name) == value
    assert params.max_tokens == 9


def test_top_k_and_top_p_go_to_our_processor_where_it_is_loaded() -> None:
    settings = SamplingSettings(max_tokens=9, top_k=5, top_p=0.5, min_p=0.1)
    request = EngineRequest("r", [1], settings, ThinkingPlan())
    params = to_sampling_params(request, limits_apart=True)
    assert (params.top_k, params.top_p, params.min_p) == (0, 1.0, 0.1)
    assert params.extra_args is not None
    assert params.extra_args[NUCLEUS_KEY] == [5, 0.5]
    plain = replace(request, sampling=SamplingSettings(max_tokens=9))
    assert NUCLEUS_KEY not in (to_sampling_params(plain, limits_apart=True).extra_args or {})
