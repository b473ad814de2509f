"""What `response_format` and `structured_outputs` mean, and what is wrong with them."""

import json
from typing import Any

import pytest

from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from tests.server.conftest import Serve, ids, make_profile, wants

SCHEMA = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"enum": ["x", 1]}}}


def as_format(schema: Any, **more: Any) -> dict[str, Any]:
    """OpenAI's spelling."""
    named = {"name": "n", "schema": schema, **more}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def structured(**fields: Any) -> dict[str, Any]:
    """vLLM's spelling."""
    return {"structured_outputs": fields}


def nested(depth: int) -> dict[str, Any]:
    """A schema of `depth` objects in each other."""
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
    ({"response_format": {"type": "json_object", "schema": {}}}, "response_format.schema", "at"),
    (as_format(SCHEMA, strict="yes"), "response_format.json_schema.strict", "boolean"),
    (as_format(SCHEMA, shema={}), "response_format.json_schema.shema", "json_schema.schema'"),
    (as_format(SCHEMA) | structured(regex="a"), "", "structured_outputs"),
    (as_format(5), FORMAT_SCHEMA, "object"),
    (as_format(True), FORMAT_SCHEMA, "object"),
    (as_format({"not": {}}), FORMAT_SCHEMA, "'not'"),
    (as_format({"items": {"uniqueItems": True}}), FORMAT_SCHEMA, "'uniqueItems'"),
    (as_format({"allOf": [{}, {}]}), FORMAT_SCHEMA, "'allOf'"),
    (as_format({"$ref": "https://example.com/a"}), FORMAT_SCHEMA, "'$ref'"),
    (as_format({"$ref": 5}), FORMAT_SCHEMA, "'$ref'"),
    (as_format({"maxLength": 10_001}), FORMAT_SCHEMA, "10000"),
    (as_format({"minLength": -1}), FORMAT_SCHEMA, "'minLength'"),
    (as_format({"minProperties": 33}), FORMAT_SCHEMA, "32"),
    (as_format(nested(65)), FORMAT_SCHEMA, "64"),
    (as_format({"description": "x" * 70_000}), FORMAT_SCHEMA, "65536"),
    (structured(), "structured_outputs", "none"),
    (structured(regex="a", choice=["b"]), "structured_outputs", "regex and choice"),
    (structured(regex=""), "structured_outputs.regex", "1 character"),
    (structured(regex="a\0"), "structured_outputs.regex", "NUL"),
    (structured(regex="a{1,99999999999999}"), "structured_outputs.regex", "10000"),
    (structured(regex="a" * 2049), "structured_outputs.regex", "2048"),
    (structured(choice=[]), "structured_outputs.choice", "1 item"),
    (structured(choice=[""]), "structured_outputs.choice[0]", "1 character"),
    (structured(choice=["a"] * 1001), "structured_outputs.choice", "1000"),
    (structured(choice=["a" * 1000 for _ in range(99)]), "structured_outputs", "65536"),
    (structured(choice="a"), "structured_outputs.choice", "array"),
    (structured(grammar="a: b"), "structured_outputs.grammar", "root ::="),
    (structured(grammar='root ::= "a"' + " " * 9000), "structured_outputs.grammar", "8192"),
    (structured(json="{"), "structured_outputs.json", "JSON"),
    (structured(json="[" * 10_000), "structured_outputs.json", "JSON"),
    (structured(json='{"const": NaN}'), "structured_outputs.json", "JSON"),
    (structured(json="true"), "structured_outputs.json", "object"),
    (structured(json_object=False), "structured_outputs.json_object", "True"),
    (structured(jsn={}), "structured_outputs.jsn", "'structured_outputs.json'"),
    (structured(whitespace_pattern=" "), "structured_outputs.whitespace_pattern", "unknown"),
    (structured(choice=["a </think> b"]), "structured_outputs.choice", "marker"),
    (as_format({"properties": {"<think>": {}}}), FORMAT_SCHEMA, "marker"),
    (as_format({"items": {"const": {"a": ["</think>"]}}}), FORMAT_SCHEMA, "marker"),
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
        as_format(SCHEMA, strict=False, description="d"),
        AnswerConstraint(ConstraintKind.JSON_SCHEMA, FORMAT_SCHEMA, TEXT, (), SCHEMA_LITERALS),
    ),
    (
        structured(json=TEXT),
        AnswerConstraint(
            ConstraintKind.JSON_SCHEMA, "structured_outputs.json", TEXT, (), SCHEMA_LITERALS
        ),
    ),
    (
        structured(json_object=True),
        AnswerConstraint(ConstraintKind.JSON_OBJECT, "structured_outputs.json_object"),
    ),
    (
        structured(regex="a|b"),
        AnswerConstraint(ConstraintKind.REGEX, "structured_outputs.regex", "a|b", (), ("a|b",)),
    ),
    (
        structured(choice=["b", "a", "b"]),
        AnswerConstraint(
            ConstraintKind.CHOICE, "structured_outputs.choice", "", ("b", "a"), ("b", "a")
        ),
    ),
    (
        structured(grammar='root ::= "a"'),
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
    taken = served.engine.last_request
    assert taken is not None
    assert taken.constraint == constraint


async def test_a_tool_call_in_the_thought_does_not_begin_an_answer_that_has_a_form(
    serve: Serve,
) -> None:
    """It would be the answer's first token, and no grammar has allowed it."""
    calls = make_profile(tool_call_token_ids=ids("the"))
    fields = {"max_thinking_tokens": 30, "max_tokens": 60, "temperature": 0}
    for more, may_call in (({}, True), (structured(regex="a+"), False)):
        served = serve(wants("hm,the"), profile=calls)
        response = await served.chat(**fields, **more)
        choice = response.json()["choices"][0]
        assert ("the" in choice["message"]["content"]) == may_call
        assert (choice["thinking"]["stop"] == "natural") == may_call


async def test_thoughts_inside_an_answer_that_has_a_form_are_refused(serve: Serve) -> None:
    gate = {"thinking_options": {"gate": {"mode": "every", "tokens": 3}}}
    served = serve()
    response = await served.chat(max_thinking_tokens=60, **gate, **structured(regex="a+"))
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == "thinking_options.gate"
    assert "structured_outputs.regex" in response.json()["error"]["message"]
    for taken in (gate, structured(regex="a+") | {"thinking_options": {"gate": {"mode": "off"}}}):
        response = await served.chat(max_thinking_tokens=60, max_tokens=90, **taken)
        assert response.status_code == 200, response.text


async def test_words_that_no_answer_must_write_may_name_a_marker(serve: Serve) -> None:
    schema = {"description": "</think>", "properties": {"not": {"title": "<think>"}}}
    response = await serve().chat(max_tokens=9, **as_format(schema))
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
