"""``thinking_options.sampling``: what is accepted and refused, and what reaches the engine."""

from dataclasses import replace
from typing import Any

import pytest

from server.engine.protocol import EngineRequest, SamplingSettings
from server.engine.vllm_messages import to_sampling_params
from tests.server.api.anthropic.conftest import PATH as MESSAGES
from tests.server.api.anthropic.conftest import make_body
from tests.server.conftest import MODEL, PROFILES, Serve, Served
from thinking.phase_sampling import (
    GREEDY,
    SAMPLING_KEY,
    PhaseSampling,
    SamplingByPhase,
    read_sampling_by_phase,
)
from thinking.plan import ThinkingPlan, make_plan

USER = {"role": "user", "content": "How many?"}
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": MODEL, "messages": [USER]}),
    "responses": ("/v1/responses", {"model": MODEL, "input": "How many?"}),
    "completions": ("/v1/completions", {"model": MODEL, "prompt": "How many?"}),
    "messages": (MESSAGES, make_body()),
}
# What is in the object, the end of the path that the error must name, and a word of its message.
BAD: list[tuple[Any, str, str]] = [
    (5, "", "object"),
    ("greedy", "", "object"),
    ({"temperature": -0.1}, ".temperature", "greater than or equal to 0"),
    ({"temperature": 2.5}, ".temperature", "less than or equal to 2"),
    ({"temperature": "1"}, ".temperature", "number"),
    ({"temperature": True}, ".temperature", "number"),
    ({"top_p": 1.5}, ".top_p", "less than or equal to 1"),
    ({"top_k": 2.5}, ".top_k", "integer"),
    ({"top_k": -2}, ".top_k", "-1"),
    ({"min_p": -1}, ".min_p", "0"),
    ({"temprature": 1}, ".temprature", "'thinking_options.sampling.temperature'"),
    ({"seed": 1}, ".seed", "unknown field"),
    ({"presence_penalty": 1}, ".presence_penalty", "unknown field"),
]


async def ask(served: Served, options: dict[str, Any] | None, **fields: Any) -> SamplingSettings:
    """Ask for a thought under `options`; return the settings that reached the engine."""
    body = {"max_thinking_tokens": 40, "thinking_options": options, **fields}
    response = await served.chat(**body)
    assert response.status_code == 200, response.text
    assert served.engine.last_request is not None
    return served.engine.last_request.sampling


@pytest.mark.parametrize("endpoint", BODIES)
async def test_every_endpoint_takes_it(serve: Serve, endpoint: str) -> None:
    served = serve()
    path, body = BODIES[endpoint]
    options = {"sampling": {"temperature": 0.5, "top_p": 0.9, "top_k": 4, "min_p": 0.1}}
    more = {"thinking_options": options, "max_thinking_tokens": 40, "temperature": 0}
    response = await served.http.post(path, json={**body, **more})
    assert response.status_code == 200, response.text
    assert served.engine.last_request is not None
    sampling = served.engine.last_request.sampling
    assert sampling.thought == PhaseSampling(0.5, 0.9, 4, 0.1)
    assert sampling.temperature == 0


@pytest.mark.parametrize("endpoint", BODIES)
@pytest.mark.parametrize(("value", "path", "said"), BAD)
async def test_what_is_wrong_is_a_400_that_names_it(
    serve: Serve, endpoint: str, value: Any, path: str, said: str
) -> None:
    served = serve()
    url, body = BODIES[endpoint]
    response = await served.http.post(url, json={**body, "thinking_options": {"sampling": value}})
    assert response.status_code == 400, response.text
    message = response.json()["error"]["message"]
    assert f"thinking_options.sampling{path}" in message
    assert said in message
    assert served.engine.num_generated == 0


async def test_a_field_that_is_left_out_or_null_is_the_answers(serve: Serve) -> None:
    served = serve()
    served.engine.default_sampling = {"temperature": 0.6, "top_p": 0.95, "top_k": 20}
    sent = {"sampling": {"temperature": 1.2, "top_k": None}}
    settings = await ask(served, sent, min_p=0.1)
    assert settings.of_answer == PhaseSampling(0.6, 0.95, 20, 0.1)
    assert settings.thought == PhaseSampling(1.2, 0.95, 20, 0.1)


async def test_a_greedy_answer_leaves_the_models_limits_to_its_thought(serve: Serve) -> None:
    served = serve()
    served.engine.default_sampling = {"temperature": 0.6, "top_p": 0.95}
    settings = await ask(served, {"sampling": {"temperature": 1}}, temperature=0)
    assert (settings.of_answer, settings.thought) == (GREEDY, PhaseSampling(1.0, 0.95))


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ({"top_p": 0}, PhaseSampling(0.7, 1e-6)),
        ({"top_k": -1, "temperature": 0.5}, PhaseSampling(0.5)),
        ({"temperature": 0.001}, PhaseSampling(0.01)),  # vLLM's smallest
        ({"temperature": 0, "top_k": 5}, GREEDY),
        ({}, None),
        (None, None),
        ({"temperature": 0.7, "top_k": 0, "top_p": 1.0}, None),  # the answer's own
    ],
)
async def test_values_mean_what_they_mean_for_answers(
    serve: Serve, sampling: Any, expected: PhaseSampling | None
) -> None:
    settings = await ask(serve(), {"sampling": sampling}, temperature=0.7)
    assert settings.thought == expected


async def test_without_a_thought_nothing_is_sampled_by_it(serve: Serve) -> None:
    settings = await ask(serve(), {"sampling": {"temperature": 0}}, max_thinking_tokens=0)
    assert settings.thought is None


@pytest.mark.parametrize("kind", ["pause", "implicit"])
async def test_a_thought_that_is_not_sampled_contradicts_it(serve: Serve, kind: str) -> None:
    options = {"kind": kind, "sampling": {"temperature": 0}}
    response = await serve().chat(thinking_options=options)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "thinking_options.sampling"


@pytest.mark.parametrize(
    ("answer", "thought", "param"),
    [
        (0, 1.0, None),
        (1.0, 0, "thinking_options.sampling.temperature"),
        (0, None, "temperature"),
    ],
)
async def test_branches_of_a_search_are_sampled_as_thoughts_are(
    serve: Serve, answer: float, thought: float | None, param: str | None
) -> None:
    served = serve()
    options = {"strategy": "self_consistency", "sampling": {"temperature": thought}}
    response = await served.chat(
        max_thinking_tokens=200, temperature=answer, thinking_options=options
    )
    if param is not None:
        assert response.status_code == 400
        assert response.json()["error"]["param"] == param
        return
    assert response.status_code == 200, response.text
    assert served.engine.last_request is not None
    assert served.engine.last_request.sampling.thought == PhaseSampling(1.0)


@pytest.mark.parametrize(("answer", "thought"), [(1.5, 0.0), (0.0, 1.5)])
async def test_the_greedy_phase_is_the_same_over_seeds_and_the_hot_one_is_not(
    serve: Serve, answer: float, thought: float
) -> None:
    served = serve()
    replies = []
    for seed in range(6):
        response = await served.chat(
            max_thinking_tokens=20,
            max_completion_tokens=40,
            seed=seed,
            temperature=answer,
            include_reasoning=True,
            thinking_options={"sampling": {"temperature": thought}, "loop_guard": False},
        )
        message = response.json()["choices"][0]["message"]
        replies.append((message["reasoning"], message["content"]))
    thoughts, answers = ({reply[place] for reply in replies} for place in (0, 1))
    assert len(answers) > 1  # a hot thought leads to other answers
    assert (len(thoughts) == 1) is (thought == 0)


PLAN = make_plan(PROFILES["special markers"], 40)
HOT = SamplingSettings(max_tokens=9, temperature=0.7, top_p=0.8, top_k=5, min_p=0.1, seed=3)


def test_vllm_gets_neutral_parameters_and_both_samplings() -> None:
    settings = replace(HOT, thought=GREEDY)
    for apart in (False, True):
        request = EngineRequest("r", [1], settings, PLAN)
        params = to_sampling_params(request, limits_apart=apart)
        neutral = (params.temperature, params.top_p, params.top_k, params.min_p)
        assert (neutral, params.seed) == ((1.0, 1.0, 0, 0.0), 3)
        assert read_sampling_by_phase(params.extra_args) == SamplingByPhase(GREEDY, HOT.of_answer)


@pytest.mark.parametrize(
    ("settings", "plan"), [(HOT, PLAN), (replace(HOT, thought=GREEDY), ThinkingPlan())]
)
def test_vllm_gets_what_it_got_before_where_no_thought_is_sampled_apart(
    settings: SamplingSettings, plan: ThinkingPlan
) -> None:
    params = to_sampling_params(EngineRequest("r", [1], settings, plan))
    assert (params.temperature, params.top_p, params.top_k, params.min_p) == (0.7, 0.8, 5, 0.1)
    assert SAMPLING_KEY not in (params.extra_args or {})


@pytest.mark.parametrize(
    "values", [5, [], [[1, 1, 0, 0]], [[1, 2, 0, 0], [1, 1, 0, 0]], [[1], [1]], "ab"]
)
def test_malformed_parameters_are_refused(values: Any) -> None:
    with pytest.raises(ValueError, match="sampling"):
        read_sampling_by_phase({SAMPLING_KEY: values})
