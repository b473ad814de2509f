"""Validation of a client's JSON schema before any library processes it.

Limits its size and depth, and rejects keywords that a grammar cannot enforce, because a keyword
that the engine silently ignores is worse than an error. The engine checks whether the rest is a
valid schema. Error messages quote keywords of JSON Schema, never the client's own text.
"""

import json
from collections.abc import Iterator
from typing import Any

from pydantic_core import PydanticCustomError

MAX_SCHEMA_CHARACTERS = 65_536
MAX_SCHEMA_DEPTH = 64
MAX_COUNT = 10_000
MAX_PROPERTY_COUNT = 32

_SCHEMA_MAPS = ("properties", "patternProperties", "$defs", "definitions")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "additionalProperties", "propertyNames")
_SCHEMAS_LATE = ("unevaluatedProperties", "unevaluatedItems")
_COUNTS = {
    "minLength": MAX_COUNT,
    "maxLength": MAX_COUNT,
    "minItems": MAX_COUNT,
    "maxItems": MAX_COUNT,
    # The grammar tracks the remaining properties once per possible count, so its size multiplies.
    "minProperties": MAX_PROPERTY_COUNT,
    "maxProperties": MAX_PROPERTY_COUNT,
}
_NOT_ENFORCED = frozenset(
    "not if then else dependencies dependentRequired dependentSchemas multipleOf uniqueItems "
    "contains minContains maxContains $dynamicRef $recursiveRef".split()
)


def serialize_schema(schema: dict[str, Any], *, enforced: bool = True) -> str:
    """Return `schema` as JSON text, with the properties in the client's order.

    `enforced` is False for a schema that is only shown to a model; its keywords are not checked.

    Raises:
        PydanticCustomError: the schema is too large or too deep, or has a keyword that cannot be
            enforced.
    """
    _check_depth(schema)
    if enforced:
        for node in _iter_nodes(schema):
            _check_keywords(node)
    try:
        text = json.dumps(schema, allow_nan=False)
    except ValueError:
        raise _make_error("has a number that JSON cannot represent (NaN or Infinity)") from None
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise _make_error(f"should have at most {MAX_SCHEMA_CHARACTERS} characters")
    return text


def collect_literals(schema: dict[str, Any]) -> tuple[str, ...]:
    """Return the property names and constants that the schema may put into an answer."""
    texts: list[str] = []
    for node in _iter_nodes(schema):
        if isinstance(names := node.get("properties"), dict):
            texts += names
        if isinstance(pattern := node.get("pattern"), str):
            texts.append(pattern)
        texts += _collect_strings((node.get("const"), node.get("enum"), node.get("required")))
    return tuple(texts)


def _check_depth(schema: Any) -> None:
    level = [schema]
    for _ in range(MAX_SCHEMA_DEPTH):
        level = [child for node in level for child in _get_children(node)]
        if not level:
            return
    raise _make_error(f"should nest objects and arrays at most {MAX_SCHEMA_DEPTH} deep")


def _get_children(node: Any) -> list[Any]:
    values = node.values() if isinstance(node, dict) else node
    return [value for value in values if isinstance(value, dict | list)]


def _iter_nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield `schema` and each subschema, but not the values of constants or property names."""
    if not isinstance(schema, dict):
        return
    yield schema
    inner: list[Any] = [schema.get(key) for key in (*_SCHEMAS, *_SCHEMAS_LATE)]
    for key in _SCHEMA_MAPS:
        if isinstance(named := schema.get(key), dict):
            inner += named.values()
    for key in _SCHEMA_LISTS:
        if isinstance(listed := schema.get(key), list):
            inner += listed
    for node in inner:
        yield from _iter_nodes(node)


def _check_keywords(node: dict[str, Any]) -> None:
    for keyword in _NOT_ENFORCED & node.keys():
        raise _make_error(f"uses {keyword!r}, which is not enforced here")
    if len(node.get("allOf") or ()) > 1:
        raise _make_error("uses 'allOf' with more than one schema, which is not enforced here")
    reference = node.get("$ref", "#/")
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise _make_error("has a '$ref' that does not point into the schema itself ('#/…')")
    for keyword, most in _COUNTS.items():
        count = node.get(keyword, 0)
        if type(count) is not int or not 0 <= count <= most:
            raise _make_error(f"{keyword!r} should be an integer from 0 to {most}")


def _collect_strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = (*value.keys(), *value.values())
    if isinstance(value, list | tuple):
        return [text for item in value for text in _collect_strings(item)]
    return []


def _make_error(message: str) -> PydanticCustomError:
    return PydanticCustomError("json_schema", "{text}", {"text": message})
