"""The options of ``thinking eval`` and their allowed values.

Parses only; the modules that use the values know what they mean.
"""

import argparse

from clients.evaluation.axis import TokenAxis
from clients.evaluation.knee import KNEE_SHARE
from clients.evaluation.request_settings import DEFAULT_FIELD
from clients.evaluation.task_file import DEFAULT_GROUP_FIELD
from clients.json_argument import parse_json_pair
from clients.number_argument import parse_optional_seed, parse_share, require_at_least
from clients.scoring_arguments import add_scoring_arguments

DEFAULT_BUDGETS = "0,32,64,128,256,512"


def add_eval_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all options but those of the connection."""
    parser.add_argument(
        "tasks", nargs="?", help="a built-in task set (see --list) or a JSONL file, such as GSM8K's"
    )
    parser.add_argument("--list", action="store_true", help="list the built-in task sets and exit")
    _add_requests(parser.add_argument_group("requests"))
    _add_scoring(parser.add_argument_group("tasks and scoring"))
    _add_run(parser.add_argument_group("run"))
    _add_report(parser.add_argument_group("report"))


def _add_requests(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--budgets",
        default=DEFAULT_BUDGETS,
        metavar="LIST",
        help="token counts or effort names; 'default' omits the field [%(default)s]",
    )
    group.add_argument(
        "--field",
        default=DEFAULT_FIELD,
        help="body field for the budget; dots address nested objects: thinking_token_budget, "
        "reasoning_effort, chat_template_kwargs.thinking_budget [%(default)s]",
    )
    group.add_argument(
        "--samples", type=require_at_least(1), default=1, help="replies per task [1]"
    )
    group.add_argument(
        "--temperature",
        type=require_at_least(0.0),
        metavar="T",
        help="sampling temperature [the server's default]",
    )
    group.add_argument(
        "--seed",
        type=parse_optional_seed,
        default=0,
        metavar="N",
        help="base of each task's own seed; 'none': send no seed [0]",
    )
    group.add_argument(
        "--max-completion-tokens",
        type=require_at_least(1),
        metavar="N",
        help="maximum tokens of a reply",
    )
    group.add_argument("--system", metavar="TEXT", help="system message for tasks without one")
    group.add_argument(
        "--option",
        action="append",
        default=[],
        type=parse_json_pair,
        metavar="NAME=JSON",
        help='a field of thinking_options: \'gate={"mode":"every","tokens":16}\'',
    )
    group.add_argument(
        "--extra",
        action="append",
        default=[],
        type=parse_json_pair,
        metavar="NAME=JSON",
        help="any other body field; dots address nested objects",
    )


def _add_scoring(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--limit", type=require_at_least(1), metavar="N", help="only the first N tasks"
    )
    group.add_argument("--shuffle", type=int, metavar="SEED", help="shuffle the tasks first")
    add_scoring_arguments(group)
    group.add_argument(
        "--group-by",
        default=DEFAULT_GROUP_FIELD,
        metavar="FIELD",
        help="task field by which results are also broken down [%(default)s]",
    )


def _add_run(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--concurrency",
        type=require_at_least(1),
        default=8,
        metavar="N",
        help="concurrent requests [8]",
    )
    group.add_argument(
        "--give-up-after",
        type=require_at_least(0),
        default=20,
        metavar="N",
        help="stop after N consecutive failures; 0: never [20]",
    )
    group.add_argument("--restart", action="store_true", help="discard the replies in the journal")
    group.add_argument(
        "--progress",
        action=argparse.BooleanOptionalAction,
        help="progress bar [only on a terminal]",
    )


def _add_report(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--output",
        metavar="PATH",
        help="write PATH.json, .md, .png, .outcomes.jsonl and .journal.jsonl [eval-TASKS]",
    )
    group.add_argument("--label", help="name of the run [the model's name]")
    group.add_argument(
        "--price-in",
        type=require_at_least(0.0),
        metavar="X",
        help="price per million prompt tokens",
    )
    group.add_argument(
        "--price-out",
        type=require_at_least(0.0),
        metavar="X",
        help="price per million completion tokens",
    )
    group.add_argument(
        "--knee",
        type=parse_share,
        default=KNEE_SHARE,
        metavar="SHARE",
        help="share of the best accuracy that is good enough [%(default)s]",
    )
    group.add_argument(
        "--picture", action=argparse.BooleanOptionalAction, default=True, help="draw the PNG [yes]"
    )
    add_picture_arguments(group)


def add_picture_arguments(group: "argparse._ArgumentGroup") -> None:
    """Add the picture options, which ``thinking compare`` has too."""
    group.add_argument(
        "--axis",
        type=TokenAxis,
        choices=list(TokenAxis),
        default=TokenAxis.REASONING,
        help="tokens that accuracy is plotted against [%(default)s]",
    )
    group.add_argument("--draw-groups", action="store_true", help="add a thin curve for each group")
    group.add_argument("--log", action="store_true", help="use a logarithmic token axis")
