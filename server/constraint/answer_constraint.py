"""What an answer must look like. Knows neither the wire nor how an engine enforces it."""

from dataclasses import dataclass
from enum import Enum


class ConstraintKind(Enum):
    """How a constraint is written."""

    JSON_SCHEMA = "json_schema"  # `text` is a JSON schema
    JSON_OBJECT = "json_object"  # any JSON object
    REGEX = "regex"  # `text` must match the whole answer
    CHOICE = "choice"  # the answer is one of `choices`
    GRAMMAR = "grammar"  # `text` is an EBNF grammar


@dataclass(frozen=True, slots=True)
class AnswerConstraint:
    """One request's constraint on its answers; thoughts are free.

    `field` is the path of the request's field that it came from, for messages.
    `literals` are texts that it may make an answer contain.
    """

    kind: ConstraintKind
    field: str
    text: str = ""
    choices: tuple[str, ...] = ()
    literals: tuple[str, ...] = ()
