"""A request that the engine aborts by itself ends with an error, with either engine."""

import asyncio
import json
from typing import Any

import pytest

from server.engine.protocol import EngineRequest, SamplingSettings
from server.engine.scripted import ScriptedEngine
from server.engine.scripted_model import RandomLogits
from server.errors.internal import AbortedError
from tests.server.conftest import PROFILES, TOKENIZER, VOCAB_SIZE, Serve, ids, wants
from tests.server.engine.test_engine_failures import ENDLESS, Caller, wait_until_running
from thinking.plan import make_plan

PROFILE = PROFILES["special markers"]
REQUEST = EngineRequest("r", ids("Hi"), SamplingSettings(max_tokens=8), make_plan(PROFILE, 0))


async def test_the_scripted_engine_raises() -> None:
    engine = ScriptedEngine(RandomLogits(VOCAB_SIZE), TOKENIZER, PROFILE)
    outputs = engine.generate(REQUEST)
    await anext(outputs)
    engine.abort_all()
    with pytest.raises(AbortedError):
        async for _ in outputs:
            pass
    assert engine.num_running == 0
    assert engine.is_alive
    await engine.close()


def make_vllm_output(finish_reason: str | None) -> Any:
    from vllm.outputs import CompletionOutput, RequestOutput

    token_ids = list(ids("a"))
    completion = CompletionOutput(0, "", token_ids, None, None, finish_reason=finish_reason)
    return RequestOutput("r", None, [0], None, [completion], finish_reason is not None)


def test_vllms_output_raises() -> None:
    from server.engine.vllm_messages import to_engine_output

    for reason in (None, "stop", "length"):
        output = to_engine_output(make_vllm_output(reason), REQUEST)
        assert output.finish_reason == reason
        assert output.token_ids == list(ids("a"))
    with pytest.raises(AbortedError):
        to_engine_output(make_vllm_output("abort"), REQUEST)


@pytest.mark.parametrize("num_choices", [1, 3])
@pytest.mark.parametrize("budget", [0, 50_000])
async def test_a_client_gets_an_error_and_what_was_written_is_counted(
    serve: Serve, num_choices: int, budget: int
) -> None:
    served = serve(wants(ENDLESS), max_model_len=100_000)
    fields = {"n": num_choices, "max_thinking_tokens": budget, "temperature": 0}
    streamed = Caller(served.app, stream=True, **fields)
    plain = asyncio.create_task(served.chat(**fields))
    await streamed.read_until("data: ")
    await wait_until_running(served.engine, 2 * num_choices)
    served.engine.abort_all()

    text = await streamed.read_until('"error"')
    await asyncio.wait_for(streamed.task, 10)
    event = json.loads(text.rpartition("data: ")[2])
    assert event["error"]["code"] == "engine_error"
    assert "[DONE]" not in text
    assert (await plain).status_code == 503
    assert (await plain).json()["error"]["code"] == "engine_error"
    assert served.engine.num_running == 0
    metrics = (await served.http.get("/metrics")).text
    cause = "cancelled" if budget else "none"
    assert f'thinking_stops_total{{cause="{cause}"}} {2 * num_choices}.0' in metrics
