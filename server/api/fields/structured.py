"""``response_format`` and ``structured_outputs``: the required format of the answer.

These are two spellings of the same thing: OpenAI's, and vLLM's, which adds regular expressions,
choices and grammars. Everything that can be checked without a model is checked here. Does not know
whether a constraint compiles: the engine checks that.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError, from_json

from server.api.body import StrictModel
from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from server.constraint.json_schema import (
    MAX_COUNT,
    MAX_SCHEMA_CHARACTERS,
    collect_literals,
    serialize_schema,
)

MAX_REGEX_CHARACTERS = 2_048
MAX_GRAMMAR_CHARACTERS = 8_192
MAX_CHOICES = 1_000
MAX_CHOICE_CHARACTERS = 1_000

_REPETITION = re.compile(r"\{\s*(\d+)?\s*,?\s*(\d+)?\s*\}")
# Without such a rule, vLLM would read the grammar as Lark, another grammar language.
_ROOT = re.compile(r"^\s*root\s*::=", re.MULTILINE)


def _check_schema(schema: dict[str, Any]) -> dict[str, Any]:
    serialize_schema(schema)
    return schema


def _parse_json(value: Any) -> Any:
    """Return `value`, parsed if it is a string: vLLM accepts a schema as JSON text too."""
    if not isinstance(value, str):
        return value
    try:
        return from_json(value, allow_inf_nan=False)
    except ValueError:
        raise _validation_error("should be a JSON schema: an object, or its JSON text") from None


def _check_grammar(text: str) -> str:
    if not _ROOT.search(text):
        raise _validation_error("should have a rule 'root ::= …'")
    return _check_pattern(text)


def _check_pattern(text: str) -> str:
    if "\0" in text:
        raise _validation_error("should not contain a NUL character")
    counts = (int(count[:9]) for pair in _REPETITION.findall(text) for count in pair if count)
    if any(count > MAX_COUNT for count in counts):
        raise _validation_error(f"should repeat nothing more than {MAX_COUNT} times")
    return text


JsonSchema = Annotated[dict[str, Any], AfterValidator(_check_schema)]
Choice = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHOICE_CHARACTERS)]


class JsonSchemaFormat(StrictModel):
    """``response_format.json_schema``."""

    name: str | None = Field(None, description="Name of the schema; not used.")
    schema_: JsonSchema = Field(alias="schema", description="The JSON schema of the answer.")
    strict: bool | None = Field(None, description="Accepted; the schema is always enforced.")
    description: str | None = Field(None, description="Accepted; not shown to the model.")


class ResponseFormat(StrictModel):
    """``response_format``, as in OpenAI's API."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = Field(
        None, description='Required with `"type": "json_schema"`; not allowed otherwise.'
    )
    schema_: JsonSchema | None = Field(
        None,
        alias="schema",
        description="The JSON schema, where other servers have it; also with `json_object`.",
    )

    @model_validator(mode="after")
    def _check_schema_given(self) -> Self:
        given = (self.json_schema is not None, self.schema_ is not None)
        allowed = {
            "text": [(False, False)],
            "json_object": [(False, False), (False, True)],
            "json_schema": [(True, False), (False, True)],
        }
        if given not in allowed[self.type]:
            raise _validation_error(
                '\'json_schema\' is required with "type": "json_schema", and only there'
            )
        return self

    @property
    def constraint(self) -> AnswerConstraint | None:
        """Constraint on the answer; None: any text."""
        if self.json_schema is not None:
            field = "response_format.json_schema.schema"
            return _to_schema_constraint(self.json_schema.schema_, field)
        if self.schema_ is not None:
            return _to_schema_constraint(self.schema_, "response_format.schema")
        if self.type == "json_object":
            return AnswerConstraint(ConstraintKind.JSON_OBJECT, "response_format")
        return None


class StructuredOutputs(StrictModel):
    """``structured_outputs``, as in vLLM's API: exactly one of its fields."""

    json_: Annotated[JsonSchema | None, BeforeValidator(_parse_json)] = Field(
        None, alias="json", description="The JSON schema of the answer: an object, or JSON text."
    )
    json_object: Literal[True] | None = Field(None, description="Any JSON object.")
    regex: Annotated[str | None, AfterValidator(lambda text: text and _check_pattern(text))] = (
        Field(
            None,
            min_length=1,
            max_length=MAX_REGEX_CHARACTERS,
            description="A regular expression that the whole answer matches.",
        )
    )
    choice: list[Choice] | None = Field(
        None, min_length=1, max_length=MAX_CHOICES, description="The answer is one of these."
    )
    grammar: Annotated[str | None, AfterValidator(lambda text: text and _check_grammar(text))] = (
        Field(
            None,
            min_length=1,
            max_length=MAX_GRAMMAR_CHARACTERS,
            description="An EBNF grammar of the answer; its first rule is `root`.",
        )
    )

    @model_validator(mode="after")
    def _check_one_kind(self) -> Self:
        given = [name for name in _KINDS if getattr(self, name) is not None]
        if len(given) != 1:
            names = " and ".join(name.rstrip("_") for name in given) or "none"
            raise _validation_error(f"should have exactly one constraint, but has {names}")
        if sum(map(len, self.choice or ())) > MAX_SCHEMA_CHARACTERS:
            raise _validation_error(
                f"'choice' should have at most {MAX_SCHEMA_CHARACTERS} characters in all"
            )
        return self

    @property
    def constraint(self) -> AnswerConstraint:
        """The constraint that was sent."""
        if self.json_ is not None:
            return _to_schema_constraint(self.json_, "structured_outputs.json")
        if self.regex is not None:
            return _to_text_constraint(ConstraintKind.REGEX, self.regex)
        if self.grammar is not None:
            return _to_text_constraint(ConstraintKind.GRAMMAR, self.grammar)
        if self.choice is not None:
            choices = tuple(dict.fromkeys(self.choice))
            field = "structured_outputs.choice"
            return AnswerConstraint(ConstraintKind.CHOICE, field, choices=choices, literals=choices)
        return AnswerConstraint(ConstraintKind.JSON_OBJECT, "structured_outputs.json_object")


def to_answer_constraint(
    response_format: ResponseFormat | None, structured_outputs: StructuredOutputs | None
) -> AnswerConstraint | None:
    """Return the constraint on the answer; None: any text."""
    sent = response_format or structured_outputs
    return None if sent is None else sent.constraint


_KINDS = tuple(StructuredOutputs.model_fields)


def _to_schema_constraint(schema: dict[str, Any], field: str) -> AnswerConstraint:
    return AnswerConstraint(
        ConstraintKind.JSON_SCHEMA,
        field,
        text=serialize_schema(schema),
        literals=collect_literals(schema),
    )


def _to_text_constraint(kind: ConstraintKind, text: str) -> AnswerConstraint:
    return AnswerConstraint(kind, f"structured_outputs.{kind.value}", text=text, literals=(text,))


def _validation_error(message: str) -> PydanticCustomError:
    return PydanticCustomError("structured", "{text}", {"text": message})
