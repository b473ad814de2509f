"""Orders to replies, by key: nobody else's reply can be reached, and quotas hold."""

from server.engine.scripted_model import RandomLogits
from tests.server.api.thinking.control.test_control import END, LONG, read_error
from tests.server.conftest import VOCAB_SIZE, chat_body
from tests.server.generation.governed import REQUEST_ID, Orders, check_laws
from tests.server.keys.conftest import ALICE, BOB, ServeKeys, make_entry, to_bearer


async def test_another_keys_reply_is_as_unknown_as_none(serve_keys: ServeKeys) -> None:
    served = serve_keys()
    served.engine._source = RandomLogits(VOCAB_SIZE)
    headers = {**to_bearer(ALICE), "x-request-id": REQUEST_ID}
    theirs, mine = Orders([(20, END)], headers=to_bearer(BOB)), Orders([(60, END)], headers=headers)
    theirs.watch(served)
    mine.watch(served)
    reply = await served.http.post("/v1/chat/completions", json=chat_body(**LONG), headers=headers)
    (refused,), (answer,) = await theirs.collect(), await mine.collect()
    unknown = await served.http.post("/v1/thinking/unknown", json=END, headers=to_bearer(BOB))
    assert refused.json() == unknown.json()
    assert read_error(refused, 404)["code"] == "reply_not_found"
    assert answer.status_code == 200
    assert reply.json()["choices"][0]["thinking"]["used"] > 50
    assert (await served.http.post("/v1/thinking/unknown", json=END)).status_code == 401


async def test_an_extension_is_paid_from_the_quotas(serve_keys: ServeKeys) -> None:
    entry = make_entry("alice", ALICE, **{"quota.reasoning_tokens_per_day": "140"})
    served = serve_keys(entry)
    served.engine._source = RandomLogits(VOCAB_SIZE)
    headers = {**to_bearer(ALICE), "x-request-id": REQUEST_ID}
    # 140 are a ceiling too; another request holds 20 of them.
    blocker = {**LONG, "max_thinking_tokens": 20, "min_thinking_tokens": 0}
    bodies = [(n, {"action": "extend", "tokens": tokens}) for n, tokens in ((30, 40), (40, 15))]
    orders = Orders(bodies, headers=headers)
    used = (
        await served.http.post(
            "/v1/chat/completions", json=chat_body(**blocker), headers=to_bearer(ALICE)
        )
    ).json()["usage"]["completion_tokens_details"]["reasoning_tokens"]
    orders.watch(served)
    served.engine.num_generated = 0
    reply = await served.http.post("/v1/chat/completions", json=chat_body(**LONG), headers=headers)
    refused, granted = await orders.collect()
    assert read_error(refused, 429)["code"] == "quota_exceeded"
    assert granted.status_code == 200, granted.text
    check_laws(reply.json())
    receipt = reply.json()["choices"][0]["thinking"]
    assert receipt["extended"] == 15
    usage = (await served.http.get("/v1/thinking/usage", headers=to_bearer(ALICE))).json()
    assert usage["quotas"]["reasoning_tokens_per_day"]["used"] == used + receipt["used"]
