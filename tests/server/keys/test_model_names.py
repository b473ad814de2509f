"""A model may have several names: each works if the key allows it; replies have the first."""

from typing import Any

import pytest

from server.settings.settings import ServerSettings
from tests.server.conftest import MODEL, Serve, chat_body
from tests.server.keys.conftest import ALICE, BOB, ServeKeys, make_entry, to_bearer

CHAT = "/v1/chat/completions"
NAMES = [MODEL, "gpt-4o", "owner/other"]
ANTHROPIC = {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize("name", NAMES)
async def test_each_name_is_the_model_and_the_reply_has_the_first(serve: Serve, name: str) -> None:
    served = serve(served_model_name=NAMES)
    reply = await served.chat(model=name, max_completion_tokens=8)
    assert (reply.status_code, reply.json()["model"]) == (200, MODEL)
    card = (await served.http.get(f"/v1/models/{name}")).json()
    assert card["id"] == name
    assert (await served.chat(model="gpt-4")).status_code == 404


@pytest.mark.parametrize("headers", [{}, ANTHROPIC])
async def test_all_names_are_listed_the_first_one_first(
    serve: Serve, headers: dict[str, str]
) -> None:
    served = serve(served_model_name=NAMES)
    models = (await served.http.get("/v1/models", headers=headers)).json()
    assert [model["id"] for model in models["data"]] == NAMES


async def test_a_key_uses_and_sees_the_names_that_it_may_use(serve_keys: ServeKeys) -> None:
    served = serve_keys(
        make_entry("alice", ALICE, models='["gpt-4o"]'),
        make_entry("bob", BOB, models='["elsewhere"]'),
        served_model_name=NAMES,
        accept_any_model_name=True,
    )

    async def ask(secret: str, model: str) -> Any:
        body = chat_body(model=model, max_completion_tokens=8)
        return await served.http.post(CHAT, json=body, headers=to_bearer(secret))

    listed = (await served.http.get("/v1/models", headers=to_bearer(ALICE))).json()["data"]
    assert [model["id"] for model in listed] == ["gpt-4o"]
    assert (await ask(ALICE, "gpt-4o")).status_code == 200
    for name in (MODEL, "owner/other"):  # names that are served, for others
        refused = await ask(ALICE, name)
        assert refused.status_code == 404
        assert MODEL not in refused.text
    assert (await ask(ALICE, "anything")).status_code == 200
    for name in (*NAMES, "elsewhere", "anything"):
        assert (await ask(BOB, name)).status_code == 404


async def test_any_name_is_accepted_where_the_operator_says_so(serve: Serve) -> None:
    served = serve(accept_any_model_name=True)
    reply = await served.chat(model="claude-sonnet-4-5", max_completion_tokens=8)
    assert (reply.status_code, reply.json()["model"]) == (200, MODEL)
    card = await served.http.get("/v1/models/claude-sonnet-4-5")
    assert (card.status_code, card.json()["id"]) == (200, MODEL)
    listed = (await served.http.get("/v1/models")).json()["data"]
    assert [model["id"] for model in listed] == [MODEL]


@pytest.mark.parametrize("given", ["a,b/c", "a, b/c,", '["a", "b/c"]', ["a", "b/c"], ["a,b/c"]])
def test_several_names_can_be_written_in_each_usual_way(given: Any) -> None:
    assert ServerSettings(served_model_name=given).served_model_name == ["a", "b/c"]


def test_the_environment_names_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THINKING_SERVER_SERVED_MODEL_NAME", "a,b/c")
    assert ServerSettings().served_model_name == ["a", "b/c"]
