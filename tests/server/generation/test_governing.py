"""A running thought is ended, extended and added to: on the scripted engine, at any token."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from server.engine.scripted_model import RandomLogits
from tests.examples import examples
from tests.server.conftest import (
    MARKER_TEXTS,
    PROFILES,
    TOKENIZER,
    VOCAB_SIZE,
    Serve,
    Served,
    chat_body,
    choice_texts,
    make_services,
    wants,
)
from tests.server.generation.governed import (
    FREE,
    REQUEST_ID,
    Orders,
    WantedThroughout,
    chat_under_orders,
    check_laws,
)
from thinking.markers.profile import MarkerProfile

BUDGET = 100
END: dict[str, Any] = {"action": "end"}
EXTEND: dict[str, Any] = {"action": "extend", "tokens": 50}
LINES = "first line\nsecond line\nthird line\nfourth line\n" * 4
STRATEGIES: list[dict[str, Any]] = [
    {"name": "best_of", "n": 3},
    {"name": "self_consistency", "n": 3},
    {"name": "beam", "score_by": "confidence", "step_tokens": 16},
    {"name": "mcts", "score_by": "confidence", "step_tokens": 16},
]
FIELDS: dict[str, Any] = {
    "max_thinking_tokens": BUDGET,
    "min_thinking_tokens": BUDGET,  # else the random model might end its thought itself
    "max_completion_tokens": 300,
    "temperature": 0,
    "thinking_options": FREE,
}


def get_receipt(reply: dict[str, Any], index: int = 0) -> dict[str, Any]:
    check_laws(reply)
    receipt: dict[str, Any] = reply["choices"][index]["thinking"]
    return receipt


async def test_an_ended_thought_is_closed_in_place_and_the_answer_comes(
    serve: Serve, profile: MarkerProfile
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), profile)
    options = {**FREE, "wrap_up": "That is all."}
    reply, (answer,) = await chat_under_orders(
        served, (40, END), **{**FIELDS, "thinking_options": options}
    )
    receipt = get_receipt(reply)
    assert receipt["stop"] == "caller"
    assert receipt["budget"] == BUDGET
    assert 40 < receipt["used"] < BUDGET
    assert "extended" not in receipt
    assert reply["choices"][0]["message"]["content"]
    assert answer.status_code == 200, answer.text
    (choice,) = answer.json()["choices"]
    assert choice["applied"] is True
    assert choice["budget"] == BUDGET
    assert 40 <= choice["used"] < receipt["used"]  # the closing tokens follow


async def test_it_is_the_reply_of_a_budget_that_ends_there(
    serve: Serve, profile: MarkerProfile
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), profile)
    wish = {**FIELDS, "include_reasoning": True, "logprobs": True, "top_logprobs": 2}
    ended, _ = await chat_under_orders(served, (40, END), **wish)
    used = get_receipt(ended)["used"]
    (by_budget,) = (
        await serve(RandomLogits(VOCAB_SIZE), profile).chat(
            **{**wish, "max_thinking_tokens": used, "min_thinking_tokens": used}
        )
    ).json()["choices"]
    (choice,) = ended["choices"]
    assert choice["message"] == by_budget["message"]
    assert choice["logprobs"] == by_budget["logprobs"]
    assert choice["thinking"]["injected"] == by_budget["thinking"]["injected"]


async def test_an_extended_thought_is_that_of_the_larger_budget(
    serve: Serve, profile: MarkerProfile
) -> None:
    wish = {**FIELDS, "include_reasoning": True}
    source = RandomLogits(VOCAB_SIZE, seed=4)
    extended, (answer,) = await chat_under_orders(serve(source, profile), (30, EXTEND), **wish)
    large = (
        await serve(source, profile).chat(**{**wish, "max_thinking_tokens": BUDGET + 50})
    ).json()
    receipt = get_receipt(extended)
    assert receipt["extended"] == 50
    assert receipt["budget"] == BUDGET + 50
    assert extended["choices"][0]["message"] == large["choices"][0]["message"]
    for name in ("used", "injected", "stop", "segments"):
        assert receipt[name] == large["choices"][0]["thinking"][name]
    assert answer.json()["choices"][0] == {
        "index": 0, "applied": True, "used": answer.json()["choices"][0]["used"],
        "budget": BUDGET + 50, "extended": 50,
    }  # fmt: skip


async def test_words_stand_in_a_line_of_their_own_and_are_counted(serve: Serve) -> None:
    served = serve(WantedThroughout(f"{LINES}</think>Seven."))
    words = "Mind the gap."
    fields = {**FIELDS, "max_thinking_tokens": 250, "min_thinking_tokens": None}
    plain, _ = await chat_under_orders(serve(wants(f"{LINES}</think>Seven.")), **fields)
    reply, (answer,) = await chat_under_orders(
        served, (15, {"action": "add", "text": words}), **fields, include_reasoning=True
    )
    thought = reply["choices"][0]["message"]["reasoning"]
    assert thought.split("\n").count(words) == 1
    assert thought.replace(f"{words}\n", "", 1) == LINES
    num_words = len(TOKENIZER.encode(f"{words}\n"))
    assert answer.json()["choices"][0]["injected"] == num_words
    receipt, without = get_receipt(reply), get_receipt(plain)
    assert receipt["injected"] == without["injected"] + num_words
    assert receipt["used"] == without["used"] + num_words
    assert reply["choices"][0]["message"]["content"] == "Seven."
    assert receipt["stop"] == "natural"


async def test_several_orders_take_effect_one_after_the_other(
    serve: Serve, profile: MarkerProfile
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), profile)
    bodies = [(10, EXTEND), (12, EXTEND), (80, END)]
    reply, answers = await chat_under_orders(served, *bodies, **FIELDS)
    receipt = get_receipt(reply)
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    budgets = [answer.json()["choices"][0]["budget"] for answer in answers]
    assert budgets == [BUDGET + 50, BUDGET + 100, BUDGET + 100]
    assert receipt["extended"] == 100
    assert receipt["stop"] == "caller"


@pytest.mark.parametrize("fields", [{}, {"n": 3}, {"stream": True}, {"stream": True, "n": 3}])
async def test_an_order_before_the_first_token_holds(
    serve: Serve, profile: MarkerProfile, fields: dict[str, Any]
) -> None:
    """The reply waits in the queue for its place: its client's own id is known already."""
    served = serve(RandomLogits(VOCAB_SIZE), profile, max_concurrent_requests=1)
    blocker = served.services.admission.join(served.services.anonymous, 1)
    headers = {"x-request-id": "waiting"}
    body = chat_body(**{**FIELDS, **fields})
    asked = asyncio.create_task(
        served.http.post("/v1/chat/completions", json=body, headers=headers)
    )
    while not len(served.services.running):  # noqa: ASYNC110 - until the reply is planned
        await asyncio.sleep(0)
    running = served.services.running.find("waiting", "anonymous")
    assert running is not None
    ending = asyncio.create_task(Orders([], "waiting").send(served, END))
    (governor, *_) = running.governors
    while not governor.has_orders:  # noqa: ASYNC110 - until the order is given
        await asyncio.sleep(0)
    blocker.leave()
    response, answer = await asyncio.gather(asked, ending)
    assert answer.status_code == 200
    if fields.get("stream"):
        assert response.text.count('"stop":"caller"') == fields.get("n", 1)
    else:
        check_laws(response.json())
        for choice in response.json()["choices"]:
            assert choice["thinking"]["stop"] == "caller"
            assert choice["thinking"]["used"] < 60  # markers and what is always written with them


async def test_one_choice_of_three_is_ended(serve: Serve, profile: MarkerProfile) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), profile)
    reply, (answer,) = await chat_under_orders(
        served, (90, {**END, "choice": 1}), **{**FIELDS, "n": 3, "temperature": 1, "seed": 3}
    )
    check_laws(reply)
    stops = [choice["thinking"]["stop"] for choice in reply["choices"]]
    assert stops == ["budget", "caller", "budget"]
    assert [choice["index"] for choice in answer.json()["choices"]] == [1]


async def test_thoughts_inside_an_answer_that_would_still_come_are_ended(
    serve: Serve, profile: MarkerProfile
) -> None:
    gate = {"mode": "every", "tokens": 4, "opening": False}
    options = {**FREE, "gate": gate, "max_segments": 8, "segment_tokens": 30}
    fields = {
        **FIELDS, "max_thinking_tokens": 200, "min_thinking_tokens": None,
        "thinking_options": options,
    }  # fmt: skip
    free, _ = await chat_under_orders(serve(RandomLogits(VOCAB_SIZE), profile), **fields)
    ended, (answer,) = await chat_under_orders(
        serve(RandomLogits(VOCAB_SIZE), profile), (70, END), **fields
    )
    assert answer.status_code == 200
    assert get_receipt(ended)["segments"] < get_receipt(free)["segments"]
    assert get_receipt(ended)["stop"] == "caller"
    more, _ = await chat_under_orders(
        serve(RandomLogits(VOCAB_SIZE), profile), (150, {"action": "extend", "tokens": 60}),
        **{**fields, "max_completion_tokens": 400},
    )  # fmt: skip
    assert get_receipt(more)["extended"] == 60
    assert get_receipt(more)["used"] >= get_receipt(free)["used"]


# By 250 tokens, a search in steps has ended by itself.
@pytest.mark.parametrize(
    ("strategy", "at"),
    [
        (strategy, at)
        for strategy in STRATEGIES
        for at in (3, 30, 60, 150, 250)
        if at < 250 or "n" in strategy
    ],
)
async def test_a_search_that_is_ended_answers_with_the_best_so_far(
    serve: Serve, profile: MarkerProfile, strategy: dict[str, Any], at: int
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), profile, max_model_len=1024)
    fields = {
        **FIELDS, "max_thinking_tokens": 400, "max_completion_tokens": 600, "temperature": 1,
        "min_thinking_tokens": 60, "thinking_options": {**FREE, "strategy": strategy}, "seed": 5,
    }  # fmt: skip
    reply, (answer,) = await chat_under_orders(served, (at, END), **fields)
    receipt = get_receipt(reply)
    assert answer.status_code == 200, answer.text
    assert reply["choices"][0]["message"]["content"]
    assert receipt["branches_limited_by"] == "caller" or receipt["stop"] == "caller"
    assert receipt["used"] < 400


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy["name"])
async def test_a_search_is_extended_and_nothing_can_be_added_to_it(
    serve: Serve, profile: MarkerProfile, strategy: dict[str, Any]
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), profile, max_model_len=1024)
    fields = {
        **FIELDS, "max_thinking_tokens": 100, "max_completion_tokens": 700, "temperature": 1,
        "min_thinking_tokens": 60, "seed": 5,
        "thinking_options": {**FREE, "strategy": strategy},
    }  # fmt: skip
    reply, (added, extended) = await chat_under_orders(
        served, (10, {"action": "add", "text": "x"}), (20, {"action": "extend", "tokens": 400}),
        **fields,
    )  # fmt: skip
    assert added.status_code == 409
    assert extended.status_code == 200
    receipt = get_receipt(reply)
    assert receipt["extended"] == 400
    assert 100 < receipt["used"] <= 500


async def test_a_grammar_still_holds_the_answer_after_orders(serve: Serve) -> None:
    served = serve(WantedThroughout(f"{LINES}</think>" + '{"a": 1}'))
    fields = {
        **FIELDS, "max_thinking_tokens": 250, "min_thinking_tokens": None,
        "response_format": {"type": "json_object"},
    }  # fmt: skip
    reply, _ = await chat_under_orders(
        served, (15, {"action": "add", "text": "Mind."}), (60, END), **fields
    )
    assert get_receipt(reply)["stop"] == "caller"
    request = served.engine.last_request
    assert request is not None
    assert request.constraint is not None
    assert [command.action.value for command in request.plan.commands] == ["add", "end"]
    num_prior = len(request.plan.prior_token_ids)
    assert tuple(request.prompt_token_ids[-num_prior:]) == request.plan.prior_token_ids
    assert request.sampling.max_tokens == 300 - num_prior


async def test_the_time_is_up_after_orders_too(serve: Serve, profile: MarkerProfile) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), profile)
    assert served.services.slot.model is not None
    served.services.slot.model.clock = lambda: float(served.engine.num_generated)
    reply, _ = await chat_under_orders(served, (10, EXTEND), **FIELDS, max_thinking_seconds=40)
    receipt = get_receipt(reply)
    assert (receipt["stop"], receipt["extended"]) == ("time", 50)


ORDERS = st.tuples(
    st.integers(1, 200),
    st.sampled_from([END, EXTEND, {"action": "extend", "tokens": 7}])
    | st.text(max_size=12).map(lambda text: {"action": "add", "text": f"So {text}"})
    | st.just({**END, "choice": 0})
    | st.just({"action": "extend", "tokens": 1000}),
)


@settings(max_examples=examples(120))
@given(
    st.sampled_from(list(PROFILES.values())),
    st.lists(ORDERS, max_size=4),
    st.integers(0, 150),
    st.sampled_from([1, 1, 3]),
    st.booleans(),
    st.sampled_from([{}, {"gate": {"mode": "every", "tokens": 6}, "max_segments": 4}]),
    st.integers(0, 2**31),
    st.booleans(),
)
def test_the_laws_hold_whatever_is_ordered_when(
    profile: MarkerProfile,
    orders: list[tuple[int, dict[str, Any]]],
    budget: int,
    num_choices: int,
    shows: bool,
    gate: dict[str, Any],
    seed: int,
    keeps_loop_guard: bool,
) -> None:
    async def run() -> None:
        engine = ScriptedEngine(
            RandomLogits(VOCAB_SIZE, seed % 5), TOKENIZER, profile, model_name="scripted",
            max_model_len=512,
        )  # fmt: skip
        services = make_services(show_thoughts=True)
        services.set_engine(engine)
        app = create_app(services)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test"
        ) as http:
            served = Served(app, engine, http, None, services)  # type: ignore[arg-type]
            options = {**gate, "wrap_up": "Done."} if seed % 2 else dict(gate)
            if not keeps_loop_guard:
                options["loop_guard"] = False
            reply, answers = await chat_under_orders(
                served, *orders, max_thinking_tokens=max(budget, 40) if seed % 2 else budget,
                max_completion_tokens=300, n=num_choices, seed=seed, temperature=1,
                include_reasoning=shows, thinking_options=options,
            )  # fmt: skip
            check_laws(reply)
            for answer in answers:
                assert answer.status_code in (200, 400, 404, 409), answer.text
                if answer.status_code == 200:
                    for choice in answer.json()["choices"]:
                        assert choice["used"] <= choice["budget"]
            granted = [
                sum(
                    choice.get("extended", 0)
                    for answer in answers
                    if answer.status_code == 200
                    for choice in answer.json()["choices"]
                    if choice["index"] == index
                )
                for index in range(num_choices)
            ]
            receipts = [choice["thinking"] for choice in reply["choices"]]
            assert [receipt.get("extended", 0) for receipt in receipts] == granted
            for choice in reply["choices"]:
                assert not any(text in choice["message"]["content"] for text in MARKER_TEXTS)
                assert choice["thinking"]["budget"] + 64 <= 300
        await services.close()
        await engine.close()

    asyncio.run(run())


async def test_a_streamed_reply_is_the_whole_one(serve: Serve, profile: MarkerProfile) -> None:
    whole, _ = await chat_under_orders(
        serve(RandomLogits(VOCAB_SIZE), profile), (40, END), **FIELDS
    )
    served = serve(RandomLogits(VOCAB_SIZE), profile)
    orders = Orders([(40, END)])
    orders.watch(served)
    response = await served.http.post(
        "/v1/chat/completions",
        json=chat_body(stream=True, **FIELDS),
        headers={"x-request-id": REQUEST_ID},
    )
    events = [
        json.loads(line.removeprefix("data: "))
        for line in response.text.split("\n\n")
        if line.startswith("data: {")
    ]
    (choice,) = whole["choices"]
    assert choice_texts(events) == [choice["message"]["content"]]
