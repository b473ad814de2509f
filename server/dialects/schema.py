"""The dialects' fields as JSON schema, for the OpenAPI document."""

from typing import Any

from server.dialects.reading import TREE, Tree
from server.dialects.spellings import Spelling


def thinking_properties() -> dict[str, Any]:
    """``properties`` that every body has which may say how much to think."""
    return {name: _schema(node) for name, node in TREE.items()}


def _schema(node: "Tree | Spelling") -> dict[str, Any]:
    if isinstance(node, Spelling):
        return {**node.reader.schema, "description": f"Written so by: {node.who}."}
    properties = {name: _schema(deeper) for name, deeper in node.items()}
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}
