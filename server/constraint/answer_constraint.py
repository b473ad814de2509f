"""A constraint on the form of an answer.

Knows neither the wire format nor how an engine enforces the constraint.
"""

from dataclasses import dataclass
from enum import Enum


class ConstraintKind(Enum):
    """The language that a constraint is written in."""

    JSON_SCHEMA = "json_schema"  # `text` is a JSON schema
    JSON_OBJECT = "json_object"  # any JSON object
    REGEX = "regex"  # `text` must match the whole answer
    CHOICE = "choice"  # the answer is one of `choices`
    GRAMMAR = "grammar"  # `text` is an EBNF grammar
    STRUCTURE = "structure"  # `text` is a structural tag of xgrammar, as JSON


@dataclass(frozen=True, slots=True)
class AnswerConstraint:
    """A request's constraint on its answers; thoughts are not constrained.

    `field` is the path of the request field that it was given in, for error messages.
    `literals` are texts that the constraint may require an answer to contain.
    """

    kind: ConstraintKind
    field: str
    text: str = ""
    choices: tuple[str, ...] = ()
    literals: tuple[str, ...] = ()
