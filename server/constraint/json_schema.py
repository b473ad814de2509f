"""Checking a client's JSON schema before any library walks it.

Bounds its size, and refuses what a grammar cannot hold an answer to: a keyword that the
engine would pass over in silence is worse than none. Whether the rest of it is a schema,
the engine says. Messages quote keywords of JSON Schema, nothing of the client's.
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
    # Which properties are still to come multiplies with how many there may be.
    "minProperties": MAX_PROPERTY_COUNT,
    "maxProperties": MAX_PROPERTY_COUNT,
}
_NOT_ENFORCED = frozenset(
    "not if then else dependencies dependentRequired dependentSchemas multipleOf uniqueItems "
    "contains minContains maxContains $dynamicRef $recursiveRef".split()
)


def schema_text(schema: dict[str, Any], *, enforced: bool = True) -> str:
    """The schema as JSON, properties in the client's order. Not `enforced`: for a model to read.

    Raises:
        PydanticCustomError: too large, too deep, or it asks for what is not enforced.
    """
    _check_depth(schema)
    if enforced:
        for node in _nodes(schema):
            _check_keywords(node)
    try:
        text = json.dumps(schema, allow_nan=False)
    except ValueError:
        raise _fault("has a number that JSON does not have") from None
    if len(text) > MAX_SCHEMA_CHARACTERS:
        raise _fault(f"should have at most {MAX_SCHEMA_CHARACTERS} characters")
    return text


def literal_texts(schema: dict[str, Any]) -> tuple[str, ...]:
    """Texts that the schema may make an answer contain: names and constants."""
    texts: list[str] = []
    for node in _nodes(schema):
        if isinstance(names := node.get("properties"), dict):
            texts += names
        if isinstance(pattern := node.get("pattern"), str):
            texts.append(pattern)
        texts += _strings((node.get("const"), node.get("enum"), node.get("required")))
    return tuple(texts)


def _check_depth(schema: Any) -> None:
    level = [schema]
    for _ in range(MAX_SCHEMA_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise _fault(f"should nest at most {MAX_SCHEMA_DEPTH} objects and arrays")


def _children(node: Any) -> list[Any]:
    values = node.values() if isinstance(node, dict) else node
    return [value for value in values if isinstance(value, dict | list)]


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Each schema in `schema`: not the values of constants, nor names of properties."""
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
        yield from _nodes(node)


def _check_keywords(node: dict[str, Any]) -> None:
    for keyword in _NOT_ENFORCED & node.keys():
        raise _fault(f"uses {keyword!r}, which is not enforced here")
    if len(node.get("allOf") or ()) > 1:
        raise _fault("uses 'allOf' with more than one schema, which is not enforced here")
    reference = node.get("$ref", "#/")
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise _fault("has a '$ref' that does not point into the schema itself ('#/…')")
    for keyword, most in _COUNTS.items():
        count = node.get(keyword, 0)
        if type(count) is not int or not 0 <= count <= most:
            raise _fault(f"{keyword!r} should be an integer from 0 to {most}")


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = (*value.keys(), *value.values())
    if isinstance(value, list | tuple):
        return [text for item in value for text in _strings(item)]
    return []


def _fault(message: str) -> PydanticCustomError:
    return PydanticCustomError("json_schema", "{text}", {"text": message})
