"""``thinking compare``: compare reports of ``thinking eval`` in one table and one picture.

Reads files and sends no requests.
"""

import argparse
import sys
from pathlib import Path

from clients.errors import ExitCode, UsageError
from clients.eval_arguments import add_picture_arguments
from clients.evaluation.atomic_file import write_atomically
from clients.evaluation.comparison import find_mismatches, format_comparison
from clients.evaluation.picture import draw
from clients.evaluation.report import Report, read_report


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``compare`` command."""
    parser = subparsers.add_parser(
        "compare",
        help="compare several reports of eval in one table and one picture",
        description="Compare reports of thinking eval with the first one.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "reports", nargs="+", metavar="[LABEL=]FILE", help="JSON reports; the first is the baseline"
    )
    parser.add_argument("--output", metavar="FILE.png", help="draw the curves to this file")
    parser.add_argument("--title", help="title of the picture [the names of the task sets]")
    add_picture_arguments(parser.add_argument_group("picture"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table and draw the picture."""
    reports = [_read(argument) for argument in arguments.reports]
    labels = [report.label for report in reports]
    if len(set(labels)) < len(labels):
        raise UsageError(f"labels are not unique ({', '.join(labels)}); give them as LABEL=FILE")
    for line in find_mismatches(reports):
        print(f"thinking compare: warning: {line}", file=sys.stderr)
    if arguments.output is not None:
        _draw(arguments, reports)
    print(format_comparison(reports, arguments.axis), end="")
    return ExitCode.OK


def _read(argument: str) -> Report:
    """Read the report at `argument` if that is a file, else treat it as a label and a path."""
    label, equals, path = argument.partition("=")
    if not equals or Path(argument).exists():
        return read_report(Path(argument))
    return read_report(Path(path)).model_copy(update={"label": label})


def _draw(arguments: argparse.Namespace, reports: list[Report]) -> None:
    path = Path(arguments.output)
    if path.suffix != ".png":
        raise UsageError(f"--output {path}: should end in .png")
    picture = draw(
        reports,
        arguments.axis,
        title=arguments.title,
        with_groups=arguments.draw_groups,
        is_logarithmic=arguments.log,
    )
    try:
        write_atomically(path, picture)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
