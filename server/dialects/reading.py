"""Takes the fields of the dialects out of a request's body.

The fields that remain are the endpoint's own and are read by its model. Does not compare the
fields with each other: ``resolution`` does.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from server.dialects.claims import Claim
from server.dialects.spellings import SPELLINGS, Spelling
from server.errors.api import BadRequestError

Tree = dict[str, "Tree | Spelling"]


def _build_tree() -> Tree:
    """Build the tree of spellings: one level for each step of a path."""
    root: Tree = {}
    for spelling in SPELLINGS:
        *steps, leaf = spelling.path.split(".")
        node = root
        for step in steps:
            deeper = node.setdefault(step, {})
            assert isinstance(deeper, dict)  # no path is a prefix of another
            node = deeper
        node[leaf] = spelling
    return root


TREE = _build_tree()


def take_claims(
    body: Mapping[str, Any], own_fields: Collection[str]
) -> tuple[list[Claim], dict[str, Any]]:
    """Return the claims in `body`, and `body` without their fields.

    Objects that are the endpoint's own (`own_fields`) may have fields that are not in the table.

    Raises:
        BadRequestError: a value is wrong.
    """
    return _take(TREE, body, "", own_fields)


def _take(
    node: Tree, values: Mapping[str, Any], path: str, own: Collection[str] = ()
) -> tuple[list[Claim], dict[str, Any]]:
    """Return the claims in an object and its other fields; `path` is the prefix of their names."""
    claims: list[Claim] = []
    left: dict[str, Any] = {}
    for name, value in values.items():
        deeper = node.get(name)
        place = f"{path}{name}"
        if deeper is None:
            left[name] = value
        elif isinstance(deeper, Spelling):
            claims += _read_claims(deeper, value)
        elif value is not None:
            if not isinstance(value, dict):
                raise _invalid_value_error(place, f"an object with {_format_names(deeper)}")
            found, unknown = _take(deeper, value, f"{place}.")
            claims += found
            # Of another server's object, what is unknown is left for whoever judges strangers.
            if unknown or (name in own and not found):
                left[name] = unknown
    return claims, left


def iterate_left(
    node: Tree, left: Any, location: tuple[str | int, ...]
) -> Iterator[tuple[str | int, ...]]:
    """Yield the places of all fields that are `left` of another server's object."""
    if not isinstance(left, dict):
        yield location
        return
    for name, value in left.items():
        deeper = node.get(name)
        if isinstance(deeper, dict):
            yield from iterate_left(deeper, value, (*location, name))
        else:
            yield (*location, name)


def get_names_at(location: Collection[str | int]) -> Collection[str]:
    """Return the names that the table knows in the object at `location`; none at the top."""
    node: Tree | Spelling = TREE
    for step in location:
        if not isinstance(node, dict) or step not in node:
            return ()
        node = node[str(step)]
    return () if not location or isinstance(node, Spelling) else node.keys()


def _read_claims(spelling: Spelling, value: Any) -> Iterator[Claim]:
    if value is None:
        return
    try:
        reading = spelling.reader.read(value)
    except ValueError as error:
        raise _invalid_value_error(spelling.path, str(error)) from None
    if reading is not None:
        yield Claim(spelling.path, *reading)


def _format_names(node: Tree) -> str:
    return ", ".join(repr(name) for name in node)


def _invalid_value_error(path: str, right: str) -> BadRequestError:
    return BadRequestError(f"{path}: should be {right}", param=path, code="invalid_value")


def get_thinking_properties() -> dict[str, Any]:
    """Return the JSON schema ``properties`` of the thinking fields, which all such bodies have."""
    return {name: _to_schema(node) for name, node in TREE.items()}


def _to_schema(node: "Tree | Spelling") -> dict[str, Any]:
    if isinstance(node, Spelling):
        return {**node.reader.schema, "description": f"Used by: {node.who}."}
    properties = {name: _to_schema(deeper) for name, deeper in node.items()}
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}
