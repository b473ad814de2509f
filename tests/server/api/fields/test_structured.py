"""Meanings and errors of `response_format` and `structured_outputs`."""

import json
from typing import Any

import pytest

from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from tests.server.conftest import Serve, ids, make_profile, wants

SCHEMA = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"enum": ["x", 1]}}}


def make_format(schema: Any, **more: Any) -> dict[str, Any]:
    """Return a schema in OpenAI's spelling."""
    named = {"name": "n", "schema": schema, **more}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def make_structured(**fields: Any) -> dict[str, Any]:
    """Return a constraint in vLLM's spelling."""
    return {"structured_outputs": fields}


def make_nested(depth: int) -> dict[str, Any]:
    """Return a schema of `depth` nested objects."""
    schema: dict[str, Any] = {}
    for _ in range(depth - 1):
        schema = {"items": schema}
    return schema


FORMAT_SCHEMA = "response_format.json_schema.schema"
# Body fields, the path that the error must name, and a word of its message.
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"response_format": {}}, "response_format.type", "required"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "'json_schema'"),
    ({"response_format": "json"}, "response_format", "object"),
    ({"response_format": {"type": "json_schema"}}, "response_format", "json_schema"),
    (
        {"response_format": {"type": "text", "json_schema": {"name": "n", "schema": {}}}},
        "response_format",
        "only there",
    ),
    ({"response_format": {"type": "text", "schema": {}}}, "response_format", "only there"),
    (
        {"response_format": {"type": "json_schema", "schema": {}, "json_schema": {"schema": {}}}},
        "response_format",
        "only there",
    ),
    (make_format(SCHEMA, strict="yes"), "response_format.json_schema.strict", "boolean"),
    (make_format(SCHEMA, shema={}), "response_format.json_schema.shema", "json_schema.schema'"),
    (make_format(SCHEMA) | make_structured(regex="a"), "", "structured_outputs"),
    (make_format(5), FORMAT_SCHEMA, "object"),
    (make_format(True), FORMAT_SCHEMA, "object"),
    (make_format({"not": {}}), FORMAT_SCHEMA, "'not'"),
    (make_format({"items": {"uniqueItems": True}}), FORMAT_SCHEMA, "'uniqueItems'"),
    (make_format({"allOf": [{}, {}]}), FORMAT_SCHEMA, "'allOf'"),
    (make_format({"$ref": "https://example.com/a"}), FORMAT_SCHEMA, "'$ref'"),
    (make_format({"$ref": 5}), FORMAT_SCHEMA, "'$ref'"),
    (make_format({"maxLength": 10_001}), FORMAT_SCHEMA, "10000"),
    (make_format({"minLength": -1}), FORMAT_SCHEMA, "'minLength'"),
    (make_format({"minProperties": 33}), FORMAT_SCHEMA, "32"),
    (make_format(make_nested(65)), FORMAT_SCHEMA, "64"),
    (make_format({"description": "x" * 70_000}), FORMAT_SCHEMA, "65536"),
    (make_structured(), "structured_outputs", "none"),
    (make_structured(regex="a", choice=["b"]), "structured_outputs", "regex and choice"),
    (make_structured(regex=""), "structured_outputs.regex", "1 character"),
    (make_structured(regex="a\0"), "structured_outputs.regex", "NUL"),
    (make_structured(regex="a{1,99999999999999}"), "structured_outputs.regex", "10000"),
    (make_structured(regex="a" * 2049), "structured_outputs.regex", "2048"),
    (make_structured(choice=[]), "structured_outputs.choice", "1 item"),
    (make_structured(choice=[""]), "structured_outputs.choice[0]", "1 character"),
    (make_structured(choice=["a"] * 1001), "structured_outputs.choice", "1000"),
    (make_structured(choice=["a" * 1000 for _ in range(99)]), "structured_outputs", "65536"),
    (make_structured(choice="a"), "structured_outputs.choice", "array"),
    (make_structured(grammar="a: b"), "structured_outputs.grammar", "root ::="),
    (make_structured(grammar='root ::= "a"' + " " * 9000), "structured_outputs.grammar", "8192"),
    (make_structured(json="{"), "structured_outputs.json", "JSON"),
    (make_structured(json="[" * 10_000), "structured_outputs.json", "JSON"),
    (make_structured(json='{"const": NaN}'), "structured_outputs.json", "JSON"),
    (make_structured(json="true"), "structured_outputs.json", "object"),
    (make_structured(json_object=False), "structured_outputs.json_object", "True"),
    (make_structured(jsn={}), "structured_outputs.jsn", "'structured_outputs.json'"),
    (make_structured(whitespace_pattern=" "), "structured_outputs.whitespace_pattern", "unknown"),
    (make_structured(choice=["a </think> b"]), "structured_outputs.choice", "marker"),
    (make_format({"properties": {"<think>": {}}}), FORMAT_SCHEMA, "marker"),
    (make_format({"items": {"const": {"a": ["</think>"]}}}), FORMAT_SCHEMA, "marker"),
]


@pytest.mark.parametrize(("fields", "param", "word"), BAD)
async def test_what_is_wrong_is_named(
    serve: Serve, fields: dict[str, Any], param: str, word: str
) -> None:
    served = serve()
    for stream in (False, True):
        response = await served.chat(stream=stream, **fields)
        assert response.status_code == 400, response.text
        error = response.json()["error"]
        assert error["param"] == (param or None)
        assert word in error["message"]
        assert not served.engine.constraints


TEXT = json.dumps(SCHEMA)
SCHEMA_LITERALS = ("b", "a", "x")
MEANINGS: list[tuple[dict[str, Any], AnswerConstraint | None]] = [
    ({"response_format": None, "structured_outputs": None}, None),
    ({"response_format": {"type": "text"}}, None),
    (
        {"response_format": {"type": "json_object"}},
        AnswerConstraint(ConstraintKind.JSON_OBJECT, "response_format"),
    ),
    (
        make_format(SCHEMA, strict=False, description="d"),
        AnswerConstraint(ConstraintKind.JSON_SCHEMA, FORMAT_SCHEMA, TEXT, (), SCHEMA_LITERALS),
    ),
    (
        make_structured(json=TEXT),
        AnswerConstraint(
            ConstraintKind.JSON_SCHEMA, "structured_outputs.json", TEXT, (), SCHEMA_LITERALS
        ),
    ),
    (
        make_structured(json_object=True),
        AnswerConstraint(ConstraintKind.JSON_OBJECT, "structured_outputs.json_object"),
    ),
    (
        make_structured(regex="a|b"),
        AnswerConstraint(ConstraintKind.REGEX, "structured_outputs.regex", "a|b", (), ("a|b",)),
    ),
    (
        make_structured(choice=["b", "a", "b"]),
        AnswerConstraint(
            ConstraintKind.CHOICE, "structured_outputs.choice", "", ("b", "a"), ("b", "a")
        ),
    ),
    (
        make_structured(grammar='root ::= "a"'),
        AnswerConstraint(
            ConstraintKind.GRAMMAR,
            "structured_outputs.grammar",
            'root ::= "a"',
            (),
            ('root ::= "a"',),
        ),
    ),
]


@pytest.mark.parametrize(("fields", "constraint"), MEANINGS)
async def test_both_spellings_mean_one_thing(
    serve: Serve, fields: dict[str, Any], constraint: AnswerConstraint | None
) -> None:
    served = serve()
    response = await served.chat(max_tokens=9, n=2, **fields)
    assert response.status_code == 200, response.text
    assert served.engine.constraints == ([] if constraint is None else [constraint])
    request = served.engine.last_request
    assert request is not None
    assert request.constraint == constraint


async def test_a_tool_call_in_the_thought_does_not_begin_an_answer_that_has_a_form(
    serve: Serve,
) -> None:
    """It would be the answer's first token, which the grammar does not allow."""
    calls = make_profile(tool_call_token_ids=ids("the"))
    fields = {"max_thinking_tokens": 30, "max_tokens": 60, "temperature": 0}
    for more, may_call in (({}, True), (make_structured(regex="a+"), False)):
        served = serve(wants("hm,the"), profile=calls)
        response = await served.chat(**fields, **more)
        choice = response.json()["choices"][0]
        assert ("the" in choice["message"]["content"]) == may_call
        assert (choice["thinking"]["stop"] == "natural") == may_call


async def test_thoughts_inside_an_answer_that_has_a_form_are_refused(serve: Serve) -> None:
    gate = {"thinking_options": {"gate": {"mode": "every", "tokens": 3}}}
    served = serve()
    response = await served.chat(max_thinking_tokens=60, **gate, **make_structured(regex="a+"))
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == "thinking_options.gate"
    assert "structured_outputs.regex" in response.json()["error"]["message"]
    for accepted in (
        gate,
        make_structured(regex="a+") | {"thinking_options": {"gate": {"mode": "off"}}},
    ):
        response = await served.chat(max_thinking_tokens=60, max_tokens=90, **accepted)
        assert response.status_code == 200, response.text


async def test_words_that_no_answer_must_write_may_name_a_marker(serve: Serve) -> None:
    schema = {"description": "</think>", "properties": {"not": {"title": "<think>"}}}
    response = await serve().chat(max_tokens=9, **make_format(schema))
    assert response.status_code == 200, response.text


async def test_openapi_describes_the_fields(serve: Serve) -> None:
    document = (await serve().http.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    assert set(schemas["StructuredOutputs"]["properties"]) == {
        "json",
        "json_object",
        "regex",
        "choice",
        "grammar",
    }
    assert "schema" in schemas["JsonSchemaFormat"]["properties"]
