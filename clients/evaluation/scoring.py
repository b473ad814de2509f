"""Right or wrong: an answer's text against what was expected.

Pure functions of two texts. Knows no file, no server, and not which budget was spent.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from clients.evaluation.number_text import last_number, whole_number


class ScoringKind(StrEnum):
    """How a text is held against the expected answer."""

    EXACT = "exact"  # the whole text, white space around it aside
    NUMERIC = "numeric"  # the last number in the text
    REGEX = "regex"  # group 1 of the last match; without groups: whether it matches
    BLANKS = "blanks"  # several answers: the pattern's matches, one after the other


class ScoringError(ValueError):
    """A rule that cannot score this answer; says why."""


@dataclass(frozen=True, slots=True)
class Score:
    """`right` of `total` positions; `total` is 1 except for blanks."""

    right: int
    total: int


@dataclass(frozen=True, slots=True)
class ScoringRule:
    """`kind` None: numeric where the answer is a number, blanks for a list, else exact."""

    kind: ScoringKind | None = None
    pattern: re.Pattern[str] | None = None
    tolerance: Decimal = Decimal(0)

    def resolved(self, answers: Sequence[str]) -> "ScoringRule":
        """The rule with its kind settled, checked against the expected `answers`.

        Raises:
            ScoringError: it cannot score them.
        """
        rule = replace(self, kind=self.kind or _natural_kind(answers))
        rule._check(answers)
        return rule

    def score(self, text: str, answers: Sequence[str]) -> Score:
        """How much of `text` is right; the rule is a resolved one."""
        if self.kind is ScoringKind.BLANKS:
            found = [_value(match) for match in self._matches(text)]
            pairs = zip(found, answers, strict=False)
            return Score(sum(value == answer.strip() for value, answer in pairs), len(answers))
        return Score(int(self._is_right(text, answers[0] if answers else "")), 1)

    def _is_right(self, text: str, answer: str) -> bool:
        match self.kind:
            case ScoringKind.NUMERIC:
                number, expected = last_number(text), whole_number(answer)
                if number is None or expected is None:
                    return False
                return number == expected or abs(number - expected) <= self.tolerance
            case ScoringKind.REGEX:
                matches = self._matches(text)
                if self.pattern is None or not self.pattern.groups:
                    return bool(matches)
                return bool(matches) and _value(matches[-1]) == answer.strip()
        return text.strip() == answer.strip()

    def _matches(self, text: str) -> list[re.Match[str]]:
        return list(self.pattern.finditer(text)) if self.pattern else []

    def _check(self, answers: Sequence[str]) -> None:
        match self.kind:
            case ScoringKind.NUMERIC if answers and whole_number(answers[0]) is None:
                raise ScoringError(f"answer {answers[0]!r} is not a number")
            case ScoringKind.REGEX | ScoringKind.BLANKS if self.pattern is None:
                raise ScoringError(f"scoring {self.kind} needs a pattern")
        if self.kind is not ScoringKind.BLANKS and len(answers) > 1:
            raise ScoringError(f"a list of answers needs scoring blanks, not {self.kind}")
        asks_for_none = self.kind is ScoringKind.REGEX and not (
            self.pattern and self.pattern.groups
        )
        if not answers and not asks_for_none:
            raise ScoringError("answer is missing")


def _natural_kind(answers: Sequence[str]) -> ScoringKind:
    if len(answers) > 1:
        return ScoringKind.BLANKS
    is_number = bool(answers) and whole_number(answers[0]) is not None
    return ScoringKind.NUMERIC if is_number else ScoringKind.EXACT


def _value(match: re.Match[str]) -> str:
    return (match.group(1 if match.re.groups else 0) or "").strip()
