"""``POST /v1/responses/compact``: a summary of the model's, sealed."""

from functools import partial
from typing import Any

import httpx
import openai
import pytest

from server.keys.sealed_thoughts import ThoughtSeal
from tests.server.api.openai.responses.conftest import get_ignored, post, respond
from tests.server.conftest import MODEL, Serve, Served, wants

Json = dict[str, Any]
SUMMARY = "They agreed on 4 apples."
ITEMS: list[Json] = [
    {"role": "developer", "content": "Be short."},
    {"role": "user", "content": "How many apples?"},
    {"role": "assistant", "content": "I count: " + "one, two, three, four. " * 20},
    {"role": "user", "content": "Good."},
]


@pytest.fixture
def serve(serve: Serve) -> Serve:
    """Servers whose context has room for the task: the tests' tokens are letters."""
    return partial(serve, max_model_len=4096)


async def compact(served: Served, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "input": ITEMS, **fields}
    return await served.http.post("/v1/responses/compact", json=body)


async def test_a_conversation_becomes_its_own_messages_and_a_sealed_summary(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>{SUMMARY}"))
    response = await compact(served)
    assert response.status_code == 200, response.text
    compacted = response.json()
    assert compacted["object"] == "response.compaction"
    *kept, summary = compacted["output"]
    assert [item["role"] for item in kept] == ["developer", "user", "user"]
    assert summary["type"] == "compaction"
    assert SUMMARY not in response.text
    assert SUMMARY in ThoughtSeal.open(served.services.seal, summary["encrypted_content"])
    assert compacted["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    assert compacted["thinking"]["used"] > 0


async def test_a_compacted_conversation_goes_on_shorter(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>{SUMMARY}"))
    compacted = (await compact(served)).json()
    more = {"role": "user", "content": "And now?"}
    whole = await respond(served, input=[*ITEMS, more])
    short = await post(served, input=[*compacted["output"], more])
    assert short.status_code == 200
    assert get_ignored(short) == []
    lost = await post(served, input=[*compacted["output"][:-1], more])
    num_tokens = short.json()["usage"]["input_tokens"]
    assert lost.json()["usage"]["input_tokens"] + len(SUMMARY) < num_tokens
    assert num_tokens < whole["usage"]["input_tokens"]
    again = await compact(served, input=[*compacted["output"], more])
    assert again.status_code == 200


async def test_a_stored_conversation_is_compacted_by_its_id(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>{SUMMARY}"))
    first = await respond(served, input=ITEMS)
    response = await compact(served, input=None, previous_response_id=first["id"])
    assert response.status_code == 400  # null is no input, as in OpenAI's SDK
    response = await compact(served, input=[], previous_response_id=first["id"])
    assert len(response.json()["output"]) == 4


async def test_a_budget_is_kept(serve: Serve) -> None:
    served = serve(wants("a" * 3000))
    for fields in ({"max_thinking_tokens": 0}, {"reasoning": {"effort": "none"}}):
        compacted = (await compact(served, max_output_tokens=50, **fields)).json()
        assert compacted["usage"]["output_tokens"] == 50
        assert compacted["thinking"]["used"] == 0


async def test_what_cannot_be_summarised_is_an_error(serve: Serve) -> None:
    served = serve(wants("4"))
    empty = await compact(served, input=[])
    assert empty.json()["error"]["param"] == "input"
    long = await compact(served, input="a b " * 4000)
    assert long.json()["error"]["code"] == "context_length_exceeded"


async def test_openais_client_compacts(serve: Serve) -> None:
    served = serve(wants(f"Hm.</think>{SUMMARY}"))
    client: openai.AsyncOpenAI = served.openai
    compacted = await client.responses.compact(model=MODEL, input=ITEMS)  # type: ignore[arg-type]
    items: list[Any] = [item.to_dict(warnings=False) for item in compacted.output]
    items.append({"role": "user", "content": "So?"})
    response = await client.responses.create(model=MODEL, input=items)
    assert response.status == "completed"
