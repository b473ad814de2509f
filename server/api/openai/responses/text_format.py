"""``text`` of a Responses body: the format of the answer.

The same as ``response_format`` of a chat, with the schema's fields one level higher. Does not know
whether a schema compiles.
"""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from server.api.body import StrictModel
from server.api.fields.structured import JsonSchema
from server.api.openai.responses.parts import validation_error
from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from server.constraint.json_schema import collect_literals, serialize_schema

_NO_NAME = "schema"
_OF_SCHEMAS = ("name", "schema_", "strict", "description")


class TextFormat(StrictModel):
    """``text.format``."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = Field(None, description="Name of the schema; not used.")
    schema_: JsonSchema | None = Field(
        None, alias="schema", description="The JSON schema of the answer."
    )
    strict: bool | None = Field(None, description="Accepted; the schema is always enforced.")
    description: str | None = Field(None, description="Accepted; not shown to the model.")

    @model_validator(mode="after")
    def _check_schema_given(self) -> Self:
        if self.type != "json_schema":
            if any(getattr(self, name) is not None for name in _OF_SCHEMAS):
                raise validation_error(
                    'only "type": "json_schema" has a schema and fields that describe it'
                )
        elif self.schema_ is None:
            raise validation_error('"type": "json_schema" needs \'schema\'')
        return self

    @property
    def constraint(self) -> AnswerConstraint | None:
        """Constraint on the answer; None: any text."""
        if self.schema_ is not None:
            return AnswerConstraint(
                ConstraintKind.JSON_SCHEMA,
                "text.format.schema",
                text=serialize_schema(self.schema_),
                literals=collect_literals(self.schema_),
            )
        if self.type == "json_object":
            return AnswerConstraint(ConstraintKind.JSON_OBJECT, "text.format")
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the format as a response echoes it."""
        if self.schema_ is None:
            return {"type": self.type}
        return {
            "type": self.type,
            "name": self.name or _NO_NAME,
            "description": self.description,
            "schema": self.schema_,
            "strict": bool(self.strict),
        }


class TextConfig(StrictModel):
    """``text``."""

    format: TextFormat | None = None
    verbosity: str | None = Field(None, description="Accepted; not shown to the model.")
