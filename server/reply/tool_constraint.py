"""Constraint on an answer that must call a tool: JSON, which any model can write.

For a named tool, the JSON is the arguments of a single call (or, if the tool takes a text of a
certain format, the answer is that text); for "required", it is a list of
``{"name", "parameters"}``. The readers are in ``server.tools.json_calls`` and ``.text_call``. Knows
no wire format and no engine.
"""

from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from server.constraint.json_schema import collect_literals, serialize_schema
from server.errors.internal import ConstraintError
from server.tools.tool import InputFormat, Tool, ToolMode, ToolUse

MAX_CALLS = 16  # in one answer: small models would add calls until they are cut
_VALUES = ("const", "enum", "default", "examples")


def to_tool_constraint(use: ToolUse) -> AnswerConstraint | None:
    """Return the constraint for `use`; None: the model may write any answer.

    Raises:
        ConstraintError: there is no such tool, or its schema cannot be enforced.
    """
    if use.mode in (ToolMode.NAMED, ToolMode.REQUIRED) and not _has_choice(use):
        raise ConstraintError(use.field, "should choose among the tools that were sent")
    match use.mode:
        case ToolMode.NAMED:
            named = next(tool for tool in use.tools if tool.name == use.name)
            if named.input_format is not None:
                return _to_input_constraint(named.input_format)
            schema = _to_arguments_schema(named)
        case ToolMode.REQUIRED:
            schema = _to_calls_schema(use)
        case _:
            return None
    try:
        text = serialize_schema(schema)
    except PydanticCustomError as error:
        raise ConstraintError(
            "tools", f"the schema of parameters {error.message()} (tool_choice auto enforces none)"
        ) from None
    return AnswerConstraint(
        ConstraintKind.JSON_SCHEMA, "tools", text=text, literals=collect_literals(schema)
    )


def _has_choice(use: ToolUse) -> bool:
    return any(use.name in (None, tool.name) for tool in use.allowed_tools)


def _to_input_constraint(input_format: InputFormat) -> AnswerConstraint:
    """Return the constraint on an answer that is the text for a tool, without JSON around it."""
    is_regex = input_format.syntax == "regex"
    return AnswerConstraint(
        ConstraintKind.REGEX if is_regex else ConstraintKind.GRAMMAR,
        "tools",
        text=input_format.definition,
        literals=(input_format.definition,),
    )


def _to_arguments_schema(tool: Tool) -> dict[str, Any]:
    return {**tool.parameters, "type": "object"}


def _to_calls_schema(use: ToolUse) -> dict[str, Any]:
    """Return the schema of a list of calls.

    The references in a tool's schema point into itself, so such a schema goes into ``$defs``, and
    its references are rebased.
    """
    definitions: dict[str, Any] = {}
    calls = []
    for tool in use.allowed_tools:
        parameters = _to_arguments_schema(tool)
        key = tool.name.replace("/", "|")  # a slash would divide the reference
        rebased = _rebase(parameters, f"#/$defs/{key}")
        if rebased != parameters:
            definitions[key] = rebased
            parameters = {"$ref": f"#/$defs/{key}"}
        calls.append(
            {
                "type": "object",
                "properties": {"name": {"const": tool.name}, "parameters": parameters},
                "required": ["name", "parameters"],
                "additionalProperties": False,
            }
        )
    schema = {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_CALLS if use.parallel else 1,
        "items": {"anyOf": calls},
    }
    return schema | ({"$defs": definitions} if definitions else {})


def _rebase(value: Any, root: str) -> Any:
    """Return a copy of a schema whose references start from `root`."""
    if isinstance(value, list):
        return [_rebase(item, root) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key: item if key in _VALUES else _rebase_member(key, item, root)
        for key, item in value.items()
    }


def _rebase_member(key: str, item: Any, root: str) -> Any:
    if key == "$ref" and isinstance(item, str) and item.startswith("#"):
        return root + item[1:]
    return _rebase(item, root)
