"""Options for the scoring of answers, and the rule that they describe."""

import argparse
from decimal import Decimal, InvalidOperation

from clients.errors import UsageError
from clients.evaluation.scoring import ScoringError, ScoringKind, ScoringRule
from clients.evaluation.task_line import compile_pattern


def add_scoring_arguments(group: "argparse._ArgumentGroup") -> None:
    """Add ``--scoring``, ``--pattern`` and ``--tolerance``."""
    group.add_argument(
        "--scoring",
        type=ScoringKind,
        choices=list(ScoringKind),
        help="scoring of tasks that define none [numeric if the answer is a number, else exact]",
    )
    group.add_argument("--pattern", metavar="REGEX", help="pattern for regex and blanks scoring")
    group.add_argument(
        "--tolerance", default="0", metavar="X", help="tolerance for numeric scoring [0]"
    )


def parse_scoring_rule(arguments: argparse.Namespace) -> ScoringRule:
    """Return the rule that the options describe.

    Raises:
        UsageError: an option is invalid.
    """
    try:
        pattern = None if arguments.pattern is None else compile_pattern(arguments.pattern)
        tolerance = Decimal(arguments.tolerance)
    except ScoringError as error:
        raise UsageError(f"--{error}") from error
    except InvalidOperation as error:
        raise UsageError(f"--tolerance {arguments.tolerance!r} is not a number") from error
    if not tolerance >= 0:
        raise UsageError("--tolerance should be 0 or more")
    return ScoringRule(arguments.scoring, pattern, tolerance)
