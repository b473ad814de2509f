"""Resolves how much one request may think.

The requested budget is the explicit count, else the effort, else the server's default. It is
limited by the ceilings of the model and of the key, then by what the reply's length and the
context leave after the answer reserve. Unless it was an explicit count, load may shrink it
further; last, it is at most what the request's turn has left. Knows nothing of HTTP or of which
field a client used: a dialect fills in :class:`BudgetRequest`, with the name of the field for the
receipt.
"""

from collections.abc import Mapping, Sequence
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
RESERVE_SHARE = 4  # by default the answer keeps a quarter of the reply …
MAX_DEFAULT_RESERVE = 1024  # … but at most this many tokens


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
    """Reason why a budget is smaller than requested (``receipt.limited_by``)."""

    MODEL = "model"
    KEY = "key"
    MAX_COMPLETION_TOKENS = "max_completion_tokens"
    CONTEXT = "context"
    LOAD = "load"
    TURN = "turn"


# `max` is None: as much as the ceiling, the reply and the context allow.
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
    """A budget field contradicts another field; `param` is its path on the wire."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class BudgetRequest:
    """Thinking budget and options of one request; a field is None where the request omits it."""

    max_thinking_tokens: int | None = None
    max_thinking_source: str = "max_thinking_tokens"
    effort: Effort | None = None
    effort_source: str = "reasoning_effort"
    # The field that switches thinking on without setting a length.
    switched_on_by: str | None = None
    answer_reserve: int | None = None
    # int: tokens; float in [0, 1]: share of the budget.
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
    """Default and limits of a server; a limit of None means no limit."""

    default_tokens: int | None = 4096
    effort_tokens: Mapping[Effort, int | None] = field(
        default_factory=lambda: DEFAULT_EFFORT_TOKENS
    )
    model_ceiling: int | None = None
    key_ceiling: int | None = None
    # Share that load leaves of a budget that is not an explicit count; 1: all of it.
    load_share: float = 1.0
    # What the turn of the request has left for it.
    turn_left: int | None = None


@dataclass(frozen=True, slots=True)
class ThinkingBudget:
    """A resolved budget, in tokens.

    Invariant: ``budget + answer_reserve <= max_tokens <= max_reply_tokens``, which fits the
    context.
    """

    budget: int
    requested: int | None
    source: str
    limited_by: LimitedBy | None
    answer_reserve: int
    grace_tokens: int
    max_tokens: int  # thought and answer together
    # What a running reply may be extended to: `max_tokens` where the client limits thought and
    # answer together, and the budget that all limits allow.
    max_reply_tokens: int
    ceiling: int
    ceiling_of: LimitedBy


def resolve_budget(
    request: BudgetRequest,
    policy: BudgetPolicy,
    *,
    max_completion_tokens: int | None,
    context_left: int,
) -> ThinkingBudget:
    """Resolve the budget of one request (laws 3 and 11).

    Args:
        request: what the request sets.
        policy: the server's default and limits.
        max_completion_tokens: limit of the reply, in tokens; None: only the context limits it.
        context_left: tokens between the end of the prompt and the end of the context (>= 1).

    Raises:
        BudgetError: the answer reserve is larger than the whole reply.
    """
    requested, source = _choose_requested(request, policy)
    max_tokens = min(context_left, max_completion_tokens or context_left)
    reserve = _resolve_answer_reserve(request, max_tokens, max_completion_tokens)
    is_own_limit = max_completion_tokens is not None and max_completion_tokens <= context_left
    room_name = LimitedBy.MAX_COMPLETION_TOKENS if is_own_limit else LimitedBy.CONTEXT
    limits = (
        (policy.model_ceiling, LimitedBy.MODEL),
        (policy.key_ceiling, LimitedBy.KEY),
        (max_tokens - reserve, room_name),
    )
    budget, limited_by = _apply_limits(requested, limits)
    ceiling, ceiling_of = min(
        ((limit, name) for limit, name in limits if limit is not None), key=lambda pair: pair[0]
    )
    if (shrunk := _shrink_under_load(budget, request, policy)) < budget:
        budget, limited_by = shrunk, LimitedBy.LOAD
    if policy.turn_left is not None and policy.turn_left < budget:
        budget, limited_by = policy.turn_left, LimitedBy.TURN
    return ThinkingBudget(
        budget=budget,
        requested=requested if source != DEFAULT_SOURCE else None,
        source=source,
        limited_by=limited_by,
        answer_reserve=reserve,
        grace_tokens=to_grace_tokens(request.grace, budget),
        max_tokens=max_tokens,
        max_reply_tokens=max_tokens,
        ceiling=ceiling,
        ceiling_of=ceiling_of,
    )


def _apply_limits(
    requested: int | None, limits: Sequence[tuple[int | None, LimitedBy]]
) -> tuple[int, LimitedBy | None]:
    """Return the budget under `limits` (None: no limit), and the one that cut it.

    Unlimited thinking that is merely bounded by a limit does not count as cut.
    """
    budget, limited_by = requested, None
    for limit, name in limits:
        if limit is not None and (budget is None or limit < budget):
            limited_by = name if budget is not None else limited_by
            budget = limit
    assert budget is not None  # the room in the reply is always a limit
    return budget, limited_by


def _shrink_under_load(budget: int, request: BudgetRequest, policy: BudgetPolicy) -> int:
    """Return the part of `budget` that load leaves.

    Never shrinks an explicit count, and never goes below the requested minimum.
    """
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
        # Such a server does not think by default, but the client asked for thinking.
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
    """Convert `grace` (tokens, a share, or None: the default) to tokens of a `budget`."""
    if grace is None:
        grace = DEFAULT_GRACE
    return ceil(grace * budget) if isinstance(grace, float) else min(grace, budget)
