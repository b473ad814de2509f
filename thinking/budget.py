"""Resolving how much one request may think.

Explicit count, then effort, then the server's default; then the ceilings of the model
and of the key; then what the reply's length and the context leave beside the answer
reserve; and of that, unless it was an explicit count, the share that load leaves. Knows
nothing of HTTP or of which field a client used: a dialect fills in :class:`BudgetRequest`, with
the name of the field for the receipt.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import ceil
from types import MappingProxyType

from thinking.gate import SegmentRules
from thinking.kind import ThoughtKind
from thinking.loop_guard import LoopGuard
from thinking.strategies.protocol import Strategy

DEFAULT_SOURCE = "default"
DEFAULT_GRACE = 0.1
RESERVE_SHARE = 4  # the answer keeps a quarter …
MAX_DEFAULT_RESERVE = 1024  # … but no more than this many tokens


class Effort(Enum):
    """`reasoning_effort` on the wire."""

    NONE = "none"
    MINIMAL = "minimal"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


class LimitedBy(Enum):
    """What made a budget smaller than what was asked for (``receipt.limited_by``)."""

    MODEL = "model"
    KEY = "key"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"
    CONTEXT = "context"
    LOAD = "load"


# `max` is None: as much as the ceiling, the reply and the context leave.
DEFAULT_EFFORT_TOKENS: Mapping[Effort, int | None] = MappingProxyType(
    {
        Effort.NONE: 0,
        Effort.MINIMAL: 256,
        Effort.LOW: 1024,
        Effort.MEDIUM: 4096,
        Effort.HIGH: 16384,
        Effort.XHIGH: 32768,
        Effort.MAX: None,
    }
)


class BudgetError(ValueError):
    """A budget field that contradicts another; `param` is its path on the wire."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class BudgetRequest:
    """What a request says about thinking; None means that it says nothing."""

    max_thinking_tokens: int | None = None
    max_thinking_source: str = "max_thinking_tokens"
    effort: Effort | None = None
    effort_source: str = "reasoning_effort"
    # The field that asked for a thought without saying how long.
    switched_on_by: str | None = None
    answer_reserve: int | None = None
    # int: tokens; float in [0, 1]: share of the budget
    grace: int | float | None = None
    wrap_up: str | None = None
    min_thinking_tokens: int | None = None
    continuation: str | None = None
    # Probability of the end marker above which a thought may end early; None: off.
    early_exit: float | None = None
    loop_guard: LoopGuard | None = field(default_factory=LoopGuard)
    segments: SegmentRules | None = None
    kind: ThoughtKind = ThoughtKind.TEXT
    # A search over thoughts; None: a single thought.
    strategy: Strategy | None = None


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    """What the server allows; None as a limit means none."""

    default_tokens: int | None = 4096
    effort_tokens: Mapping[Effort, int | None] = field(
        default_factory=lambda: DEFAULT_EFFORT_TOKENS
    )
    model_ceiling: int | None = None
    key_ceiling: int | None = None
    # Under load: what is left of a budget that the request has not named in tokens; 1: all.
    load_share: float = 1.0


@dataclass(frozen=True, slots=True)
class ThinkingBudget:
    """A resolved budget, in tokens.

    Invariant: ``budget + answer_reserve <= max_tokens``, and ``max_tokens`` fits the context.
    """

    budget: int
    requested: int | None
    source: str
    limited_by: LimitedBy | None
    answer_reserve: int
    grace_tokens: int
    max_tokens: int  # thought and answer together


def resolve_budget(
    request: BudgetRequest,
    policy: BudgetPolicy,
    *,
    max_completion_tokens: int | None,
    context_left: int,
) -> ThinkingBudget:
    """Apply law 11 and law 3 to one request.

    Args:
        ask: what the request says.
        policy: what the server allows.
        max_completion_tokens: the reply's limit; None: the context's.
        context_left: tokens between the prompt's end and the context's (>= 1).

    Raises:
        BudgetError: the answer reserve is larger than the whole reply.
    """
    requested, source = _choose_requested(request, policy)
    max_tokens = min(context_left, max_completion_tokens or context_left)
    reserve = _resolve_answer_reserve(request, max_tokens, max_completion_tokens)
    room = max_tokens - reserve
    room_name = (
        LimitedBy.MAX_COMPLETION_TOKENS
        if max_completion_tokens is not None and max_completion_tokens <= context_left
        else LimitedBy.CONTEXT
    )
    budget = requested
    limited_by = None
    for limit, name in (
        (policy.model_ceiling, LimitedBy.MODEL),
        (policy.key_ceiling, LimitedBy.KEY),
        (room, room_name),
    ):
        if limit is not None and (budget is None or limit < budget):
            # Unlimited thinking that merely fills what there is was not cut.
            limited_by = name if budget is not None else limited_by
            budget = limit
    assert budget is not None  # `room` is always a limit
    if (shrunk := _shrink_under_load(budget, request, policy)) < budget:
        budget, limited_by = shrunk, LimitedBy.LOAD
    return ThinkingBudget(
        budget=budget,
        requested=requested if source != DEFAULT_SOURCE else None,
        source=source,
        limited_by=limited_by,
        answer_reserve=reserve,
        grace_tokens=to_grace_tokens(request.grace, budget),
        max_tokens=max_tokens,
    )


def _shrink_under_load(budget: int, request: BudgetRequest, policy: BudgetPolicy) -> int:
    """What load leaves of `budget`: never less than a count that the request has named."""
    if request.max_thinking_tokens is not None:
        return budget
    shrunk = int(policy.load_share * budget)
    return min(budget, max(shrunk, request.min_thinking_tokens or 0))


def _choose_requested(request: BudgetRequest, policy: BudgetPolicy) -> tuple[int | None, str]:
    if request.max_thinking_tokens is not None:
        return request.max_thinking_tokens, request.max_thinking_source
    if request.effort is not None:
        return policy.effort_tokens[request.effort], request.effort_source
    if request.switched_on_by is not None and policy.default_tokens == 0:
        # The default of such a server is not to think; the client asked for it.
        return policy.effort_tokens[Effort.MEDIUM], request.switched_on_by
    return policy.default_tokens, DEFAULT_SOURCE


def _resolve_answer_reserve(
    request: BudgetRequest, max_tokens: int, max_completion_tokens: int | None
) -> int:
    if request.answer_reserve is None:
        return max(1, min(MAX_DEFAULT_RESERVE, max_tokens // RESERVE_SHARE))
    if max_completion_tokens is not None and request.answer_reserve > max_completion_tokens:
        raise BudgetError(
            "thinking_options.answer_reserve",
            f"answer_reserve ({request.answer_reserve}) is larger than the whole reply "
            f"(max_completion_tokens is {max_completion_tokens}); it must be at most that",
        )
    return min(max(1, request.answer_reserve), max_tokens)


def to_grace_tokens(grace: int | float | None, budget: int) -> int:
    """`grace` (tokens, a share, or None: the default) of a thought of `budget` tokens."""
    if grace is None:
        grace = DEFAULT_GRACE
    return ceil(grace * budget) if isinstance(grace, float) else min(grace, budget)
