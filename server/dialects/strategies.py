"""Converts ``thinking_options.strategy`` of a body to a strategy of ``thinking.strategies``.

Checks the fields against each other, against the sampling settings and against the server's
scorer: a field that the strategy does not use would be ignored, so it is rejected. Runs no
search.
"""

from collections.abc import Mapping
from typing import Protocol

from server.engine.protocol import SamplingSettings
from server.errors.api import BadRequestError
from thinking.strategies.beam import Beam
from thinking.strategies.best_of import BestOf
from thinking.strategies.mcts import Mcts
from thinking.strategies.protocol import Strategy
from thinking.strategies.reward import Reward
from thinking.strategies.self_consistency import SelfConsistency
from thinking.strategies.stepping import Steps
from thinking.strategies.vote import Extract
from thinking.strategies.whole import WholeBranches

STRATEGY = "thinking_options.strategy"
THOUGHT_TEMPERATURE = "thinking_options.sampling.temperature"
MAX_BRANCHES = 64
MAX_WIDTH = 16
DEFAULT_N = 4
DEFAULT_WIDTH = 2
DEFAULT_EXPAND = 3
DEFAULT_STEP_TOKENS = 64
DEFAULT_ITERATIONS = 64
DEFAULT_EXPLORATION = 0.3
# Fields that each strategy reads.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "best_of": ("n", "answer_tokens"),
    "self_consistency": ("n", "answer_tokens", "extract"),
    "reward": ("n", "answer_tokens"),
    "beam": ("width", "expand", "step_tokens", "score_by"),
    "mcts": ("expand", "step_tokens", "score_by", "iterations", "exploration"),
}


class NativeStrategy(Protocol):
    """``thinking_options.strategy``; a field that is left out is None."""

    @property
    def name(self) -> str:
        """Name of the strategy."""

    @property
    def n(self) -> int | None:
        """Number of whole replies."""

    @property
    def answer_tokens(self) -> int | None:
        """Number of tokens of each reply for its trial answer."""

    @property
    def extract(self) -> str | None:
        """Part of an answer that is counted, a value of ``Extract``."""

    @property
    def width(self) -> int | None:
        """Number of branches that are kept."""

    @property
    def expand(self) -> int | None:
        """Number of steps that are tried after a branch."""

    @property
    def step_tokens(self) -> int | None:
        """Length of the longest step, in tokens."""

    @property
    def score_by(self) -> str | None:
        """Scorer of the steps."""

    @property
    def iterations(self) -> int | None:
        """Maximum number of iterations of a tree search."""

    @property
    def exploration(self) -> float | None:
        """Weight of the bonus for few visits in a tree search."""


def to_strategy(options: NativeStrategy) -> Strategy:
    """Return the requested search.

    Raises:
        BadRequestError: a field belongs to another strategy.
    """
    _check_own_fields(options)
    branches = WholeBranches(options.n or DEFAULT_N, options.answer_tokens)
    steps = Steps(options.step_tokens or DEFAULT_STEP_TOKENS)
    expand = options.expand or DEFAULT_EXPAND
    needs_scorer = options.score_by != "confidence"
    match options.name:
        case "best_of":
            return BestOf(branches)
        case "self_consistency":
            return SelfConsistency(branches, Extract(options.extract or "number"))
        case "reward":
            return Reward(branches)
        case "beam":
            return Beam(steps, options.width or DEFAULT_WIDTH, expand, needs_scorer)
    exploration = DEFAULT_EXPLORATION if options.exploration is None else options.exploration
    iterations = options.iterations or DEFAULT_ITERATIONS
    return Mcts(steps, expand, iterations, exploration, needs_scorer)


def check_branches_differ(strategy: Strategy, sampling: SamplingSettings) -> None:
    """Raise BadRequestError if all branches would be the same."""
    thought = sampling.thought or sampling.of_answer
    if thought.is_greedy:
        param = "temperature" if sampling.thought is None else THOUGHT_TEMPERATURE
        raise BadRequestError(
            f"{param}: {STRATEGY} {strategy.name!r} needs a temperature above 0 (a request "
            "without one uses the model's default): at 0 all branches are the same",
            param=param,
            code="contradictory_fields",
        )


def check_scorer(strategy: Strategy, *, has_scorer: bool) -> None:
    """Raise BadRequestError if `strategy` needs a reward model and the server has none."""
    if strategy.needs_scorer and not has_scorer:
        other = "" if strategy.name == "reward" else "; send score_by 'confidence' to do without"
        raise BadRequestError(
            f"{STRATEGY}: {strategy.name!r} needs a reward model, and this server has none "
            f"(--scorer-url){other}",
            param=STRATEGY,
            code="no_scorer",
        )


def _check_own_fields(options: NativeStrategy) -> None:
    own = _FIELDS[options.name]
    for name in dict.fromkeys(field for fields in _FIELDS.values() for field in fields):
        if name not in own and getattr(options, name) is not None:
            raise BadRequestError(
                f"{STRATEGY}.{name} is no field of {options.name!r}, which has {', '.join(own)}",
                param=f"{STRATEGY}.{name}",
                code="contradictory_fields",
            )
