"""Other servers' names for fields of ours: the reply is the same as with ours."""

from typing import Any

import pytest

from server.api.ignored import HEADER
from tests.server.conftest import MODEL, Serve, wants

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
# Another server's field, and ours.
SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"temp": 0.5}, {"temperature": 0.5}),
    ({"do_sample": False}, {"temperature": 0}),
    ({"do_sample": True}, {}),
    ({"max_new_tokens": 3}, {"max_completion_tokens": 3}),
    ({"n_predict": 3}, {"max_completion_tokens": 3}),
    ({"num_predict": -1}, {}),
    ({"random_seed": 7}, {"seed": 7}),
    ({"sampling_seed": 7}, {"seed": 7}),
    ({"stop_sequences": ["b"]}, {"stop": ["b"]}),
    ({"stopping_strings": []}, {}),
    ({"ban_eos_token": True}, {"ignore_eos": True}),
    ({"guided_json": SCHEMA}, {"structured_outputs": {"json": SCHEMA}}),
    ({"json_schema": SCHEMA}, {"structured_outputs": {"json": SCHEMA}}),
    ({"guided_regex": "a+"}, {"structured_outputs": {"regex": "a+"}}),
    ({"regex": "a+"}, {"structured_outputs": {"regex": "a+"}}),
    ({"guided_choice": ["a", "b"]}, {"structured_outputs": {"choice": ["a", "b"]}}),
    ({"grammar": 'root ::= "a"'}, {"structured_outputs": {"grammar": 'root ::= "a"'}}),
    ({"ebnf": 'root ::= "a"'}, {"structured_outputs": {"grammar": 'root ::= "a"'}}),
    ({"temp": 1, "n_predict": 3}, {"temperature": 1, "max_completion_tokens": 3}),
]


@pytest.mark.parametrize(("foreign", "ours"), SAME, ids=lambda fields: "+".join(fields) or "-")
async def test_a_foreign_name_reaches_the_engine_as_ours_does(
    serve: Serve, foreign: dict[str, Any], ours: dict[str, Any]
) -> None:
    served = serve(wants("a"))
    response = await served.chat(**foreign)
    assert response.status_code == 200, response.text
    assert HEADER not in response.headers
    asked = served.engine.last_request
    await served.chat(**ours)
    same = served.engine.last_request
    assert asked is not None
    assert same is not None
    assert (asked.sampling, asked.constraint) == (same.sampling, same.constraint)


@pytest.mark.parametrize("value", [{"guided_regex": 5}, {"n_predict": "x"}, {"temp": 3}])
async def test_a_bad_value_is_refused_by_our_own_field(serve: Serve, value: dict[str, Any]) -> None:
    response = await serve().chat(**value)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_value"


@pytest.mark.parametrize(
    "both",
    [
        {"temp": 0.5, "temperature": 0.7},
        {"n_predict": 5, "max_completion_tokens": 6},
        {"guided_regex": "a", "structured_outputs": {"choice": ["a"]}},
        {"guided_regex": "a", "guided_choice": ["a"]},
    ],
)
async def test_two_names_that_differ_are_refused_by_name(
    serve: Serve, both: dict[str, Any]
) -> None:
    error = (await serve().chat(**both)).json()["error"]
    assert error["code"] == "contradictory_fields"
    assert error["param"] in both


async def test_two_names_that_agree_are_accepted(serve: Serve) -> None:
    response = await serve(wants("a")).chat(temp=0.5, temperature=0.5)
    assert response.status_code == 200


async def test_a_constraint_that_an_endpoint_lacks_is_refused(serve: Serve) -> None:
    body = {"max_tokens": 8, "messages": [{"role": "user", "content": "x"}], "guided_regex": "a"}
    served = serve(wants("a"))
    response = await served.http.post("/v1/messages", json={"model": MODEL} | body)
    assert (response.status_code, response.json()["error"]["type"]) == (
        400,
        "invalid_request_error",
    )


async def test_the_betas_output_format_holds_the_answer_of_messages(serve: Serve) -> None:
    served = serve(wants('{"a": 1}'))
    form = {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}}
    body = {"model": MODEL, "max_tokens": 40, "messages": [{"role": "user", "content": "x"}]}
    more = {"output_config": {"effort": "low"}, "output_format": form}
    response = await served.http.post("/v1/messages", json=body | more)
    assert response.status_code == 200, response.text
    assert served.engine.last_request is not None
    assert served.engine.last_request.constraint is not None
