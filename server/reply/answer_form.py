"""The form of an answer: what constrains it, and how calls are read from it.

Brings together the client's constraint and its tools. An answer that must call is constrained to
calls; one that may call and has a JSON schema is constrained to either, by one grammar, and its
reader tells the two apart by how the answer begins. Knows no wire format.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import PydanticCustomError

from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from server.constraint.json_schema import (
    MAX_SCHEMA_CHARACTERS,
    collect_literals,
    serialize_schema,
)
from server.engine.protocol import Engine
from server.errors.internal import ConstraintError
from server.model.served_model import ServedModel
from server.prompt.prepared_prompt import PreparedPrompt
from server.reply.tool_constraint import to_tool_constraint
from server.reply.tool_readers import create_reader_factory
from server.tools.call_form import CallOrTextReader
from server.tools.reading import AnswerReader, ReaderFactory
from server.tools.tool import Tool, ToolMode, ToolUse

_JSON = (ConstraintKind.JSON_SCHEMA, ConstraintKind.JSON_OBJECT)
_ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """The form of a reply's answers.

    `constraint` None: any text. Without `create_tool_reader`, no answer calls a tool.
    `has_openers`: an answer may begin with a token that opens a call in the model's own form.
    """

    constraint: AnswerConstraint | None
    create_tool_reader: ReaderFactory | None = None
    has_openers: bool = False

    @property
    def may_be_either(self) -> bool:
        """True if an answer is either calls or of the client's schema."""
        return self.constraint is not None and self.has_openers


def list_answer_forms(
    engine: Engine, constraint: AnswerConstraint | None, use: ToolUse | None
) -> list[AnswerForm]:
    """Return forms of answers with the client's `constraint` and tools, the best one first.

    The first form that the engine can enforce applies. A call that is required takes precedence
    over the constraint.

    Raises:
        BadRequestError: calls in this model's own form cannot be read.
        ConstraintError: the choice of tools is invalid, or a schema cannot be enforced.
    """
    create_reader = create_reader_factory(engine, use)
    if use is None or create_reader is None:
        is_forbidden = use is not None and use.mode is ToolMode.NONE
        return [AnswerForm(constraint, has_openers=constraint is None and not is_forbidden)]
    if (forced := to_tool_constraint(use)) is not None:
        return [AnswerForm(forced, create_reader)]
    if constraint is None or constraint.kind not in _JSON:
        return [AnswerForm(constraint, create_reader, has_openers=constraint is None)]
    if not use.allowed_tools:
        return [AnswerForm(constraint)]
    return [_to_union(engine, use, tools, constraint) for tools in _list_tools(use.allowed_tools)]


async def choose_answer_form(
    model: ServedModel,
    prompt: PreparedPrompt,
    forms: Sequence[AnswerForm],
    requested: AnswerConstraint | None,
) -> AnswerForm:
    """Return the first of `forms` that the engine can enforce on the answers to `prompt`.

    Raises:
        ConstraintError, BadRequestError: see
            :meth:`server.model.served_model.ServedModel.check_constraint`.
    """
    if forms[0].may_be_either and requested is not None:
        # Alone, more is known of what cannot be enforced in the client's schema.
        await model.check_constraint(requested, prompt)
    for form in forms[:-1]:
        assert form.constraint is not None  # only a union has alternatives
        with suppress(ConstraintError):
            await model.check_constraint(form.constraint, prompt)
            return form
    if forms[-1].constraint is not None:
        await model.check_constraint(forms[-1].constraint, prompt)
    return forms[-1]


def _to_union(
    engine: Engine, use: ToolUse, tools: Sequence[Tool], answer: AnswerConstraint
) -> AnswerForm:
    """Return the form of answers that are calls of `tools`, or of the form of `answer`."""
    form = engine.describe_calls(tools, parallel=use.parallel)
    is_any = answer.kind is ConstraintKind.JSON_OBJECT
    schema = {
        "type": "json_schema",
        "json_schema": _ANY_OBJECT if is_any else json.loads(answer.text),
        # At most one space between tokens: small models would write them forever.
        "max_whitespace_cnt": 1,
    }
    either = {"type": "or", "elements": [form.structure, schema]}
    of_tools = [
        text for tool in tools for text in (tool.name, *collect_literals(dict(tool.parameters)))
    ]
    constraint = replace(
        answer,
        kind=ConstraintKind.STRUCTURE,
        text=json.dumps({"type": "structural_tag", "format": either}),
        literals=(*answer.literals, *of_tools),
    )
    return AnswerForm(
        constraint,
        lambda: AnswerReader(CallOrTextReader(form), parallel=use.parallel, keeps_unread=False),
        has_openers=True,
    )


def _list_tools(tools: Sequence[Tool]) -> Sequence[Sequence[Tool]]:
    """Return the tools with their schemas, and then with free arguments.

    The client did not require that arguments keep their schema, so no schema is an error here.
    """
    held = [_with_enforced_schema(tool) for tool in tools]
    free = [replace(tool, parameters=_ANY_OBJECT) for tool in tools]
    num_characters = sum(len(json.dumps(tool.parameters)) for tool in held)
    return [free] if held == free or num_characters > MAX_SCHEMA_CHARACTERS else [held, free]


def _with_enforced_schema(tool: Tool) -> Tool:
    """Return `tool` with a schema that a grammar can enforce."""
    schema = {**tool.parameters, "type": "object"}
    try:
        serialize_schema(schema)
    except PydanticCustomError:
        schema = dict(_ANY_OBJECT)
    return replace(tool, parameters=schema)
