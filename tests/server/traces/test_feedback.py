"""Verdicts and pages over the API: what is stored, and errors that name the field."""

from typing import Any

import pytest

from tests.server.traces.conftest import ServeTraces, make_client, read_traces, request_completion

TRACES = "/v1/thinking/traces"
FEEDBACK = "/v1/thinking/feedback"


async def test_a_verdict_is_kept_with_its_trace_and_found_by_it(serve_traces: ServeTraces) -> None:
    served = serve_traces()
    good, bad, unjudged = [await request_completion(served) for _ in range(3)]
    for reply_id, judgement in ((good, {"verdict": "good"}), (bad, {"score": 0.25})):
        said = await served.http.post(FEEDBACK, json={"id": reply_id, **judgement})
        assert said.status_code == 200, said.text
    found = {
        verdict: [trace["id"] for trace in await read_traces(served, verdict=verdict)]
        for verdict in ("good", "bad", "none")
    }
    assert found == {"good": [good], "bad": [bad], "none": [unjudged]}
    (verdict,) = (await read_traces(served, verdict="bad"))[0]["verdicts"]
    assert (verdict["score"], verdict["verdict"], verdict["choice"]) == (0.25, "bad", 0)


async def test_a_verifier_can_change_its_mind_and_others_keep_theirs(
    serve_traces: ServeTraces,
) -> None:
    served = serve_traces()
    reply_id = await request_completion(served, n=2, temperature=1)
    for verifier, choice, score in (("a", 1, 0.0), ("b", 1, 1.0), ("a", 1, 0.75), ("a", 0, 0.5)):
        body = {"id": reply_id, "verifier": verifier, "choice": choice, "score": score}
        assert (await served.http.post(FEEDBACK, json=body)).status_code == 200
    (trace,) = await read_traces(served)
    assert {(v["choice"], v["verifier"], v["score"]) for v in trace["verdicts"]} == {
        (0, "a", 0.5),
        (1, "a", 0.75),
        (1, "b", 1.0),
    }


@pytest.mark.parametrize(
    ("changes", "status", "param"),
    [
        ({"id": "chatcmpl-none"}, 404, "id"),
        ({"id": 7}, 400, "id"),
        ({"id": ""}, 400, "id"),
        ({"verdict": "great"}, 400, "verdict"),
        ({"verdict": None}, 400, None),
        ({"score": 1}, 400, None),
        ({"verdict": None, "score": 1.5}, 400, "score"),
        ({"verdict": None, "score": True}, 400, "score"),
        ({"choice": 1}, 400, "choice"),
        ({"choice": -1}, 400, "choice"),
        ({"verifier": ""}, 400, "verifier"),
        ({"note": "x" * 3000}, 400, "note"),
        ({"veridct": "good"}, 400, "veridct"),
    ],
)
async def test_bad_feedback_is_refused_by_name(
    serve_traces: ServeTraces, changes: dict[str, Any], status: int, param: str | None
) -> None:
    served = serve_traces()
    body = {"id": await request_completion(served), "verdict": "good", **changes}
    refused = await served.http.post(FEEDBACK, json=body)
    assert refused.status_code == status, refused.text
    assert refused.json()["error"]["param"] == param
    assert (await read_traces(served))[0]["verdicts"] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "ten"),
        ("after", "-1"),
        ("since", "yesterday"),
        ("since", "nan"),
        ("verdict", "great"),
        ("offset", "3"),
    ],
)
async def test_a_bad_parameter_is_refused_by_name(
    serve_traces: ServeTraces, name: str, value: str
) -> None:
    served = serve_traces()
    async with make_client(served, "127.0.0.1") as client:
        refused = await client.get(TRACES, params={name: value})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == name


async def test_pages_give_each_trace_once(serve_traces: ServeTraces) -> None:
    served = serve_traces()
    ids = [await request_completion(served) for _ in range(5)]
    found: list[str] = []
    after: str | None = "0"
    async with make_client(served, "127.0.0.1") as client:
        while after is not None:
            page = await client.get(TRACES, params={"limit": 2, "after": after})
            found += [line.split('"id": "')[1].split('"')[0] for line in page.text.splitlines()]
            after = page.headers.get("x-next-after")
    assert found == ids


async def test_since_takes_seconds_and_dates(serve_traces: ServeTraces) -> None:
    served = serve_traces()
    await request_completion(served)
    (trace,) = await read_traces(served)
    assert len(await read_traces(served, since=trace["created"])) == 1
    assert len(await read_traces(served, since=trace["created"] + 1)) == 0
    assert len(await read_traces(served, since="2020-01-31T12:00:00Z")) == 1
    assert len(await read_traces(served, since="2999-01-01")) == 0
