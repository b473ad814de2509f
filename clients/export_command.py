"""``thinking export``: write judged traces as training data for TRL, with diversity figures.

Reads over HTTP, then writes all files or none. Trains nothing.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from clients.connection import Connection
from clients.errors import CommandError, ExitCode, UsageError
from clients.evaluation.atomic_file import write_atomically
from clients.extras import require
from clients.number_argument import parse_share, require_at_least
from clients.traces.diversity import Diversity, Thresholds, find_warnings, measure_diversity
from clients.traces.examples import Example, ExampleFormat, ExampleMaker, ExportOptions
from clients.traces.split import split
from clients.traces.trace import GOOD_SCORE
from clients.traces.trace_api import TraceApi, add_trace_options, make_trace_connection

DEFAULT_VALIDATION = 0.1


class ExportReport(BaseModel):
    """Report that is written beside the examples."""

    format: ExampleFormat
    with_thoughts: bool
    train: int
    validation: int
    left_out: dict[str, int]
    diversity: Diversity
    warnings: list[str]


@dataclass(frozen=True, slots=True)
class ExportFiles:
    """Paths of ``x.jsonl``, ``x.validation.jsonl`` and ``x.report.json``."""

    train: Path
    validation: Path
    report: Path

    @classmethod
    def from_output(cls, output: str) -> "ExportFiles":
        """Return the files for ``--output``.

        Raises:
            UsageError: it is not a JSONL file in an existing folder.
        """
        path = Path(output)
        if path.suffix != ".jsonl":
            raise UsageError(f"--output {output}: should end in .jsonl")
        if not path.parent.is_dir():
            raise UsageError(f"--output {output}: {path.parent} is not a folder")
        return cls(path, path.with_suffix(".validation.jsonl"), path.with_suffix(".report.json"))


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``export`` command."""
    parser = subparsers.add_parser(
        "export",
        help="write judged traces as SFT or DPO data for TRL",
        description="Read the server's traces and write those with verdicts in TRL's "
        "conversational formats, split by prompt into training and validation.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--format",
        type=ExampleFormat,
        choices=list(ExampleFormat),
        required=True,
        help="format of the examples",
    )
    parser.add_argument(
        "--output", required=True, metavar="FILE.jsonl", help="file of the training examples"
    )
    add_trace_options(parser)
    _add_example_options(parser.add_argument_group("examples"))
    parser.set_defaults(run=run)


def _add_example_options(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--good-from",
        type=parse_share,
        default=GOOD_SCORE,
        metavar="SCORE",
        help="minimum mean score of a good answer [%(default)s]",
    )
    group.add_argument("--verifier", metavar="NAME", help="use only this verifier's verdicts [all]")
    group.add_argument(
        "--thoughts",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="put the thought between the model's markers before the answer [yes]",
    )
    group.add_argument(
        "--max-per-prompt",
        type=require_at_least(1),
        default=4,
        metavar="N",
        help="maximum examples or pairs per prompt [%(default)s]",
    )
    group.add_argument(
        "--validation",
        type=_parse_split_share,
        default=DEFAULT_VALIDATION,
        metavar="SHARE",
        help="share of the questions kept for validation [%(default)s]",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the files; exit with 1 if there is nothing to write."""
    require("httpx")
    files = ExportFiles.from_output(arguments.output)
    options = ExportOptions(
        format=arguments.format,
        good_from=arguments.good_from,
        verifier=arguments.verifier,
        with_thoughts=arguments.thoughts,
        max_per_prompt=arguments.max_per_prompt,
    )
    maker = asyncio.run(_read(make_trace_connection(arguments), options, arguments.since))
    examples = list(maker.make_examples())
    if not examples:
        left_out = ", ".join(f"{n} {reason}" for reason, n in maker.left_out.items())
        raise CommandError(
            f"no examples: {maker.num_used} usable judged choices; left out: {left_out or 'none'}"
        )
    train, validation = split(examples, arguments.validation)
    report = _make_report(maker, examples, len(train), len(validation))
    _write(files, options.format, train, validation, report)
    _show(report, files)
    return ExitCode.OK


async def _read(connection: Connection, options: ExportOptions, since: str | None) -> ExampleMaker:
    maker = ExampleMaker(options)
    async with connection.make_http_client() as client:
        async for trace in TraceApi(connection, client).iterate_traces(since):
            maker.add(trace)
    return maker


def _make_report(
    maker: ExampleMaker, examples: Sequence[Example], num_train: int, num_validation: int
) -> ExportReport:
    figures = measure_diversity(examples, maker.num_repeated / maker.num_used)
    warnings = find_warnings(figures, Thresholds())
    if not num_train:
        warnings.append("no example is left for training; see --validation")
    return ExportReport(
        format=maker.options.format,
        with_thoughts=maker.options.with_thoughts,
        train=num_train,
        validation=num_validation,
        left_out=dict(maker.left_out),
        diversity=figures,
        warnings=warnings,
    )


def _write(
    files: ExportFiles,
    kind: ExampleFormat,
    train: Sequence[Example],
    validation: Sequence[Example],
    report: ExportReport,
) -> None:
    """Write all files, empty ones too: an older split's file would share prompts with these."""
    contents = {
        files.train: _to_json_lines(train, kind),
        files.validation: _to_json_lines(validation, kind),
        files.report: f"{report.model_dump_json(indent=2)}\n".encode(),
    }
    try:
        for path, content in contents.items():
            write_atomically(path, content)
    except OSError as error:
        raise UsageError(f"{error.filename or files.train}: {error.strerror}") from error


def _to_json_lines(examples: Sequence[Example], kind: ExampleFormat) -> bytes:
    # ASCII: readers differ in which Unicode characters end a line.
    return "".join(f"{json.dumps(example.to_dict(kind))}\n" for example in examples).encode()


def _show(report: ExportReport, files: ExportFiles) -> None:
    figures = report.diversity
    print(f"{report.train} examples for training, {report.validation} for validation")
    for reason, number in sorted(report.left_out.items()):
        print(f"left out: {number} ({reason})")
    print(f"prompts: {figures.prompts}")
    for n, value in figures.distinct.items():
        print(f"distinct-{n}: {value:.3f}")
    print(f"repeated choices: {figures.repeated:.1%}")
    print(f"written by a model: {figures.model_written:.1%}")
    for warning in report.warnings:
        print(f"thinking export: warning: {warning}", file=sys.stderr)
    print(
        f"thinking export: wrote {files.train}, {files.validation}, {files.report}", file=sys.stderr
    )


def _parse_split_share(text: str) -> float:
    """Parse 0, or a share above 0 and at most 1."""
    return 0.0 if text in ("0", "0.0") else parse_share(text)
