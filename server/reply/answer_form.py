"""The form of an answer: what constrains it, and how calls are read from it.

Brings together the client's constraint and its tools. An answer that must call is constrained to
calls; one that may call and has a JSON schema is constrained to either, by one grammar, and its
reader tells the two apart by how the answer begins. Knows no wire format.
"""

import json
from collections.abc import Mapping, Sequence
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

    `constraint` None: any text. `unions` are constraints to calls or the form of `constraint`, of
    which the first that the engine can enforce applies; empty: `constraint` alone. Without
    `create_tool_reader`, no answer calls a tool. `has_openers`: an answer may begin with a token
    that opens a call in the model's own form.
    """

    constraint: AnswerConstraint | None
    create_tool_reader: ReaderFactory | None
    has_openers: bool
    unions: Sequence[AnswerConstraint] = ()

    @property
    def may_be_either(self) -> bool:
        """True if an answer is either calls or of the client's schema."""
        return bool(self.unions)

    async def choose_constraint(
        self, model: ServedModel, prompt: PreparedPrompt
    ) -> AnswerConstraint | None:
        """Return the constraint that the engine enforces on the answers to `prompt`.

        Raises:
            ConstraintError, BadRequestError: see
                :meth:`server.model.served_model.ServedModel.check_constraint`.
        """
        if self.constraint is None:
            return None
        # Also of a union: alone, more is known of what cannot be enforced in it.
        await model.check_constraint(self.constraint, prompt)
        for place, union in enumerate(self.unions, 1):
            try:
                await model.check_constraint(union, prompt)
            except ConstraintError:
                if place == len(self.unions):
                    raise
            else:
                return union
        return self.constraint


def to_answer_form(
    engine: Engine, constraint: AnswerConstraint | None, use: ToolUse | None
) -> AnswerForm:
    """Return the form of answers with the client's `constraint` and tools.

    A call that is required takes precedence over the constraint.

    Raises:
        BadRequestError: calls in this model's own form cannot be read.
        ConstraintError: the choice of tools is invalid, or a schema cannot be enforced.
    """
    create_reader = create_reader_factory(engine, use)
    if use is None or create_reader is None:
        is_forbidden = use is not None and use.mode is ToolMode.NONE
        return AnswerForm(constraint, None, has_openers=constraint is None and not is_forbidden)
    if (forced := to_tool_constraint(use)) is not None:
        return AnswerForm(forced, create_reader, has_openers=False)
    if constraint is None or constraint.kind not in _JSON:
        return AnswerForm(constraint, create_reader, has_openers=constraint is None)
    assert use.mode is ToolMode.AUTO
    form = engine.describe_calls(use.allowed_tools, parallel=use.parallel)
    return AnswerForm(
        constraint,
        lambda: AnswerReader(CallOrTextReader(form), parallel=use.parallel, keeps_unread=False),
        has_openers=True,
        unions=_list_unions(engine, use, constraint),
    )


def _list_unions(
    engine: Engine, use: ToolUse, answer: AnswerConstraint
) -> Sequence[AnswerConstraint]:
    """Return constraints to calls or `answer`: first with the tools' schemas, then without them.

    The client did not require that arguments keep their schema, so no schema is an error here.
    """
    held = [_with_enforced_schema(tool) for tool in use.allowed_tools]
    free = [replace(tool, parameters=_ANY_OBJECT) for tool in use.allowed_tools]
    if sum(len(json.dumps(tool.parameters)) for tool in held) > MAX_SCHEMA_CHARACTERS:
        held = free
    unions = [_to_union(engine, use, tools, answer) for tools in (held, free)]
    return unions if held != free else unions[:1]


def _with_enforced_schema(tool: Tool) -> Tool:
    """Return `tool` with a schema that a grammar can enforce."""
    schema = {**tool.parameters, "type": "object"}
    try:
        serialize_schema(schema)
    except PydanticCustomError:
        schema = dict(_ANY_OBJECT)
    return replace(tool, parameters=schema)


def _to_union(
    engine: Engine, use: ToolUse, tools: Sequence[Tool], answer: AnswerConstraint
) -> AnswerConstraint:
    is_any = answer.kind is ConstraintKind.JSON_OBJECT
    structures = [
        engine.describe_calls(tools, parallel=use.parallel).structure,
        {
            "type": "json_schema",
            "json_schema": _ANY_OBJECT if is_any else json.loads(answer.text),
            # At most one space between tokens: small models would write them forever.
            "max_whitespace_cnt": 1,
        },
    ]
    text = json.dumps({"type": "structural_tag", "format": {"type": "or", "elements": structures}})
    of_tools = [
        text for tool in tools for text in (tool.name, *collect_literals(dict(tool.parameters)))
    ]
    return replace(
        answer,
        kind=ConstraintKind.STRUCTURE,
        text=text,
        literals=(*answer.literals, *of_tools),
    )
