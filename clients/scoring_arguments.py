"""Options that say how answers are scored, and the rule that they spell."""

import argparse
from decimal import Decimal, InvalidOperation

from clients.errors import UsageError
from clients.evaluation.scoring import ScoringError, ScoringKind, ScoringRule
from clients.evaluation.task_line import compiled


def add_scoring_arguments(group: "argparse._ArgumentGroup") -> None:
    """Add ``--scoring``, ``--pattern`` and ``--tolerance``."""
    group.add_argument(
        "--scoring",
        type=ScoringKind,
        choices=list(ScoringKind),
        help="for tasks that do not say [numeric where the answer is a number, else exact]",
    )
    group.add_argument("--pattern", metavar="REGEX", help="for regex and blanks scoring")
    group.add_argument("--tolerance", default="0", metavar="X", help="for numeric scoring [0]")


def scoring_rule(arguments: argparse.Namespace) -> ScoringRule:
    """The rule that they spell.

    Raises:
        UsageError: one of them cannot be used.
    """
    try:
        pattern = None if arguments.pattern is None else compiled(arguments.pattern)
        tolerance = Decimal(arguments.tolerance)
    except ScoringError as error:
        raise UsageError(f"--{error}") from error
    except InvalidOperation as error:
        raise UsageError(f"--tolerance {arguments.tolerance!r} is not a number") from error
    if not tolerance >= 0:
        raise UsageError("--tolerance should be 0 or more")
    return ScoringRule(arguments.scoring, pattern, tolerance)
