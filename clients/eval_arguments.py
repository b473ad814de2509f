"""The options of ``thinking eval``, and what they may be.

Parses only: what the values mean is known where they go.
"""

import argparse

from clients.evaluation.axis import TokenAxis
from clients.evaluation.knee import KNEE_SHARE
from clients.evaluation.request_settings import DEFAULT_FIELD
from clients.evaluation.task_file import DEFAULT_GROUP_FIELD
from clients.json_argument import json_pair
from clients.number_argument import at_least, optional_seed, share
from clients.scoring_arguments import add_scoring_arguments

DEFAULT_BUDGETS = "0,32,64,128,256,512"


def add_eval_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all but the connection's options."""
    parser.add_argument(
        "tasks", nargs="?", help="a built-in task set (--list) or a JSONL file; GSM8K's works too"
    )
    parser.add_argument("--list", action="store_true", help="list the built-in task sets and end")
    _add_requests(parser.add_argument_group("requests"))
    _add_scoring(parser.add_argument_group("tasks and scoring"))
    _add_run(parser.add_argument_group("run"))
    _add_report(parser.add_argument_group("report"))


def _add_requests(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--budgets",
        default=DEFAULT_BUDGETS,
        metavar="LIST",
        help="token counts or effort names; 'default' leaves the field out [%(default)s]",
    )
    group.add_argument(
        "--field",
        default=DEFAULT_FIELD,
        help="body field that takes the budget, dots lead into objects: thinking_token_budget, "
        "reasoning_effort, chat_template_kwargs.thinking_budget [%(default)s]",
    )
    group.add_argument("--samples", type=at_least(1), default=1, help="asks per task [1]")
    group.add_argument(
        "--temperature", type=at_least(0.0), metavar="T", help="[left out: the server's default]"
    )
    group.add_argument(
        "--seed",
        type=optional_seed,
        default=0,
        metavar="N",
        help="what each task's own seed is made of; 'none': not sent [0]",
    )
    group.add_argument("--max-completion-tokens", type=at_least(1), metavar="N")
    group.add_argument("--system", metavar="TEXT", help="for tasks without a system message")
    group.add_argument(
        "--option",
        action="append",
        default=[],
        type=json_pair,
        metavar="NAME=JSON",
        help='a field of thinking_options: \'gate={"mode":"every","tokens":16}\'',
    )
    group.add_argument(
        "--extra",
        action="append",
        default=[],
        type=json_pair,
        metavar="NAME=JSON",
        help="any other body field, dots lead into objects",
    )


def _add_scoring(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--limit", type=at_least(1), metavar="N", help="only the first N tasks")
    group.add_argument(
        "--shuffle", type=int, metavar="SEED", help="first bring the tasks into a random order"
    )
    add_scoring_arguments(group)
    group.add_argument(
        "--group-by",
        default=DEFAULT_GROUP_FIELD,
        metavar="FIELD",
        help="field of the tasks by which results are also broken out [%(default)s]",
    )


def _add_run(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--concurrency", type=at_least(1), default=8, metavar="N", help="requests at a time [8]"
    )
    group.add_argument(
        "--give-up-after",
        type=at_least(0),
        default=20,
        metavar="N",
        help="end after so many failures in a row; 0: never [20]",
    )
    group.add_argument(
        "--restart", action="store_true", help="forget the replies that the journal holds"
    )
    group.add_argument(
        "--progress", action=argparse.BooleanOptionalAction, help="bar [on a terminal]"
    )


def _add_report(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--output",
        metavar="PATH",
        help="PATH.json, .md, .png, .outcomes.jsonl and .journal.jsonl are written [eval-TASKS]",
    )
    group.add_argument("--label", help="name of the run in pictures [the model's]")
    group.add_argument("--price-in", type=at_least(0.0), metavar="X", help="per million tokens")
    group.add_argument("--price-out", type=at_least(0.0), metavar="X", help="per million tokens")
    group.add_argument(
        "--knee",
        type=share,
        default=KNEE_SHARE,
        metavar="SHARE",
        help="of the best accuracy that is near enough [%(default)s]",
    )
    group.add_argument(
        "--picture", action=argparse.BooleanOptionalAction, default=True, help="draw the PNG [yes]"
    )
    add_picture_arguments(group)


def add_picture_arguments(group: "argparse._ArgumentGroup") -> None:
    """Add what ``thinking compare`` has too."""
    group.add_argument(
        "--axis",
        type=TokenAxis,
        choices=list(TokenAxis),
        default=TokenAxis.REASONING,
        help="tokens that accuracy is drawn against [%(default)s]",
    )
    group.add_argument("--draw-groups", action="store_true", help="a thin curve for each group")
    group.add_argument("--log", action="store_true", help="a logarithmic axis of tokens")
