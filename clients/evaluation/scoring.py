"""Scores an answer's text against the expected answer.

Pure functions of two texts. Knows no file, no server and no budget.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from clients.evaluation.number_text import find_last_number, parse_whole_text


class ScoringKind(StrEnum):
    """Method of comparing a text with the expected answer."""

    EXACT = "exact"  # the whole text, without surrounding white space
    NUMERIC = "numeric"  # the last number in the text
    REGEX = "regex"  # group 1 of the last match; without groups: whether it matches
    BLANKS = "blanks"  # several answers: the pattern's matches, in order


class ScoringError(ValueError):
    """Rule that cannot score this answer; the message says why."""


@dataclass(frozen=True, slots=True)
class Score:
    """Number of right positions out of `total`, which is 1 except for blanks."""

    right: int
    total: int


@dataclass(frozen=True, slots=True)
class ScoringRule:
    """Scoring rule. `kind` None: numeric for a number, blanks for a list, else exact."""

    kind: ScoringKind | None = None
    pattern: re.Pattern[str] | None = None
    tolerance: Decimal = Decimal(0)

    def resolve(self, answers: Sequence[str]) -> "ScoringRule":
        """Return the rule with its kind decided, checked against the expected `answers`.

        Raises:
            ScoringError: it cannot score them.
        """
        rule = replace(self, kind=self.kind or _infer_kind(answers))
        rule._check(answers)
        return rule

    def score(self, text: str, answers: Sequence[str]) -> Score:
        """Score `text`; the rule has to be resolved."""
        if self.kind is ScoringKind.BLANKS:
            found = [_get_value(match) for match in self._find_matches(text)]
            pairs = zip(found, answers, strict=False)
            return Score(sum(value == answer.strip() for value, answer in pairs), len(answers))
        return Score(int(self._is_right(text, answers[0] if answers else "")), 1)

    def _is_right(self, text: str, answer: str) -> bool:
        match self.kind:
            case ScoringKind.NUMERIC:
                number, expected = find_last_number(text), parse_whole_text(answer)
                if number is None or expected is None:
                    return False
                return number == expected or abs(number - expected) <= self.tolerance
            case ScoringKind.REGEX:
                matches = self._find_matches(text)
                if self.pattern is None or not self.pattern.groups:
                    return bool(matches)
                return bool(matches) and _get_value(matches[-1]) == answer.strip()
        return text.strip() == answer.strip()

    def _find_matches(self, text: str) -> list[re.Match[str]]:
        return list(self.pattern.finditer(text)) if self.pattern else []

    def _check(self, answers: Sequence[str]) -> None:
        match self.kind:
            case ScoringKind.NUMERIC if answers and parse_whole_text(answers[0]) is None:
                raise ScoringError(f"answer {answers[0]!r} is not a number")
            case ScoringKind.REGEX | ScoringKind.BLANKS if self.pattern is None:
                raise ScoringError(f"scoring {self.kind} needs a pattern")
        if self.kind is not ScoringKind.BLANKS and len(answers) > 1:
            raise ScoringError(f"a list of answers needs scoring blanks, not {self.kind}")
        needs_no_answer = self.kind is ScoringKind.REGEX and not (
            self.pattern and self.pattern.groups
        )
        if not answers and not needs_no_answer:
            raise ScoringError("answer is missing")


def _infer_kind(answers: Sequence[str]) -> ScoringKind:
    if len(answers) > 1:
        return ScoringKind.BLANKS
    is_number = bool(answers) and parse_whole_text(answers[0]) is not None
    return ScoringKind.NUMERIC if is_number else ScoringKind.EXACT


def _get_value(match: re.Match[str]) -> str:
    return (match.group(1 if match.re.groups else 0) or "").strip()
