"""``thinking eval``: accuracy against thinking tokens, for any OpenAI-compatible server.

Holds the command line only; the work is done in ``clients/evaluation``.
"""

import argparse
import asyncio
import re
import sys
from random import Random

from clients.connection import Connection, add_connection_options
from clients.errors import ExitCode, UsageError
from clients.eval_arguments import add_eval_arguments
from clients.evaluation.axis import TokenAxis
from clients.evaluation.evaluation import Evaluation, EvaluationResult, Pace, evaluate
from clients.evaluation.knee import find_knee
from clients.evaluation.picture import draw
from clients.evaluation.points import Prices, make_points
from clients.evaluation.report import Report, TaskSummary
from clients.evaluation.request_settings import RequestSettings, parse_budgets
from clients.evaluation.results import ResultFiles, find_request_errors, format_outcomes
from clients.evaluation.table import format_report
from clients.evaluation.task_file import TaskFile, read_task_file
from clients.evaluation.task_sets import find_tasks, list_task_sets
from clients.extras import require
from clients.json_argument import merge_pairs
from clients.scoring_arguments import parse_scoring_rule

MAX_ERRORS_SHOWN = 5


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``eval`` command."""
    parser = subparsers.add_parser(
        "eval",
        help="measure accuracy over a list of thinking budgets",
        description="Run the tasks of a file at each of a list of budgets, and report accuracy, "
        "tokens, seconds and cost as JSON, a table and a picture. After an interruption, the same "
        "command resumes the run.",
        allow_abbrev=False,
    )
    add_connection_options(parser)
    add_eval_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the evaluation; return 1 if some requests got no reply."""
    if arguments.list:
        _list_sets()
        return ExitCode.OK
    if arguments.tasks is None:
        raise UsageError("which tasks? Name a file or a built-in set (--list shows them)")
    require("openai", "scipy", "tqdm", *(["matplotlib"] if arguments.picture else []))
    tasks = _read_tasks(arguments)
    evaluation = _make_evaluation(arguments, tasks)
    files = ResultFiles.from_output(arguments.output or f"eval-{tasks.name}")
    pace = Pace(arguments.concurrency, arguments.give_up_after, arguments.progress)
    finished = asyncio.run(
        evaluate(evaluation, files.journal, pace, say, restart=arguments.restart)
    )
    report = _make_report(arguments, tasks, evaluation, finished)
    _write(arguments, files, report, finished)
    _show_errors(report)
    return ExitCode.FAILED if report.errors else ExitCode.OK


def say(line: str) -> None:
    """Print one line to standard error."""
    print(f"thinking eval: {line}", file=sys.stderr)


def _list_sets() -> None:
    for name, path in list_task_sets().items():
        tasks = read_task_file(path)
        groups = sorted({task.group for task in tasks.tasks if task.group})
        print(f"{name}: {len(tasks.tasks)} tasks" + (f" in {len(groups)} groups" if groups else ""))


def _read_tasks(arguments: argparse.Namespace) -> TaskFile:
    path = find_tasks(arguments.tasks)
    tasks = read_task_file(path, parse_scoring_rule(arguments), arguments.group_by)
    for broken in tasks.broken:
        print(f"{path}:{broken.line}: {broken.reason}", file=sys.stderr)
    for line in tasks.advice:
        say(f"{path}: {line}")
    if arguments.shuffle is not None:
        Random(arguments.shuffle).shuffle(tasks.tasks)
    del tasks.tasks[arguments.limit or len(tasks.tasks) :]
    return tasks


def _make_evaluation(arguments: argparse.Namespace, tasks: TaskFile) -> Evaluation:
    try:
        settings = RequestSettings(
            budget_field=arguments.field,
            system=arguments.system,
            temperature=arguments.temperature,
            seed=arguments.seed,
            max_completion_tokens=arguments.max_completion_tokens,
            options=merge_pairs(arguments.option),
            extra=merge_pairs(arguments.extra),
        )
        budgets = parse_budgets(arguments.budgets)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if arguments.samples > 1 and arguments.temperature == 0:
        say("at temperature 0 all samples of a task are equal: --samples has no effect")
    return Evaluation(
        Connection.from_arguments(arguments), settings, tasks.tasks, budgets, arguments.samples
    )


def _make_report(
    arguments: argparse.Namespace,
    tasks: TaskFile,
    evaluation: Evaluation,
    finished: EvaluationResult,
) -> Report:
    prices = None
    if arguments.price_in is not None or arguments.price_out is not None:
        prices = Prices(arguments.price_in or 0.0, arguments.price_out or 0.0)
    points = make_points(finished.outcomes, prices)
    return Report(
        label=arguments.label or finished.configuration["model"],
        tasks=TaskSummary(
            name=tasks.name,
            sha256=tasks.sha256,
            num_tasks=len(tasks.tasks),
            broken=tasks.broken,
        ),
        settings=finished.configuration,
        samples=evaluation.samples,
        points=points,
        knee=find_knee(points, arguments.knee),
        knee_share=arguments.knee,
        errors=find_request_errors(finished.outcomes),
    )


def _write(
    arguments: argparse.Namespace, files: ResultFiles, report: Report, finished: EvaluationResult
) -> None:
    table = format_report(report)
    written = [
        files.write("outcomes.jsonl", format_outcomes(finished.outcomes)),
        files.write("md", table.encode()),
        files.write("json", report.to_json()),
    ]
    if arguments.picture:
        picture = draw(
            [report],
            TokenAxis(arguments.axis),
            with_groups=arguments.draw_groups,
            is_logarithmic=arguments.log,
        )
        written.append(files.write("png", picture))
    print(table, end="")
    say(f"wrote {', '.join(str(path) for path in written)}")


def _show_errors(report: Report) -> None:
    for error in report.errors[:MAX_ERRORS_SHOWN]:
        reason = re.sub(r"\s+", " ", error.reason)
        say(f"task {error.task}, budget {error.budget}, sample {error.sample}: {reason}")
    if report.errors:
        say(f"{len(report.errors)} requests got no reply; the same command retries them")
