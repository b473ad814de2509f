"""A request's wish and its rarer options, as the :class:`BudgetAsk` of ``thinking.budget``.

Checks the options against each other and against the wish. Knows nothing of models, tokens
or the server's limits.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from server.dialects.claims import Claim, ClaimKind
from server.dialects.gates import NativeSegments, segment_rules
from server.dialects.resolution import ThinkingWish, contradiction
from server.dialects.strategies import NativeStrategy, strategy_of
from server.errors.api import BadRequestError
from thinking.budget import BudgetAsk, Effort
from thinking.kind import ThoughtKind
from thinking.loop_guard import LoopGuard

WRAP_UP = "thinking_options.wrap_up"

# Of `thinking_options`: what has no sense where nothing of a thought is sampled.
_OF_WRITTEN_THOUGHTS = (
    "grace",
    "wrap_up",
    "continuation",
    "loop_guard",
    "early_exit",
    "gate",
    "strategy",
)


class NativeLoopGuard(Protocol):
    """``thinking_options.loop_guard`` as an object."""

    @property
    def enabled(self) -> bool:
        """False: a thought may repeat itself."""

    @property
    def max_period(self) -> int:
        """Longest period, in tokens."""

    @property
    def min_repeats(self) -> int:
        """How often a period comes before it is a loop."""

    @property
    def min_tokens(self) -> int:
        """How many tokens it must cover."""


class NativeOptions(NativeSegments, Protocol):
    """``thinking_options`` of a body."""

    @property
    def answer_reserve(self) -> int | None:
        """Tokens kept for the answer."""

    @property
    def grace(self) -> int | float | None:
        """Last tokens, or share, of a budget in which a thought ends at a boundary."""

    @property
    def wrap_up(self) -> str | None:
        """Text that ends a thought that was cut."""

    @property
    def continuation(self) -> str | None:
        """Text that answers an end which comes too soon."""

    @property
    def loop_guard(self) -> NativeLoopGuard | None:
        """None: the default."""

    @property
    def early_exit(self) -> float | None:
        """Probability of the end marker above which a thought may end."""

    @property
    def kind(self) -> str | None:
        """What the thought is made of."""

    @property
    def strategy(self) -> NativeStrategy | None:
        """A search over thoughts."""


@dataclass(frozen=True, slots=True)
class ThinkingFields:
    """All that one body says about thinking.

    `reply_limit` is the most tokens of the whole reply, where the body names it.
    """

    wish: ThinkingWish
    options: NativeOptions | None = None
    min_thinking_tokens: int | None = None
    reply_limit: int | None = None


def budget_ask(fields: ThinkingFields) -> BudgetAsk:
    """What a body says about its budget.

    Raises:
        BadRequestError: two fields at odds, or a share of a reply without a limit.
    """
    ask = _with_options(_wished(fields), fields)
    return replace(ask, wrap_up=_wrap_up(fields))


def _wished(fields: ThinkingFields) -> BudgetAsk:
    wish = fields.wish
    ask = BudgetAsk(min_thinking_tokens=fields.min_thinking_tokens)
    if wish.effort is not None:
        assert isinstance(wish.effort.value, Effort)
        ask = replace(ask, effort=wish.effort.value, effort_source=wish.effort.path)
    if (count := wish.tokens or _share(fields)) is not None:
        tokens = int(count.value) if not isinstance(count.value, Effort) else 0
        ask = replace(ask, max_thinking_tokens=tokens, max_thinking_source=count.path)
    if wish.switch is not None:
        if wish.switch.value:
            return replace(ask, switched_on_by=wish.switch.path)
        return replace(ask, max_thinking_tokens=0, max_thinking_source=wish.switch.path)
    return ask


def _share(fields: ThinkingFields) -> Claim | None:
    """A share of the reply, in tokens."""
    share = fields.wish.share
    if share is None:
        return None
    if fields.reply_limit is None:
        raise BadRequestError(
            f"{share.path}: a share needs the reply's limit (max_tokens); send it, or tokens "
            "(an integer)",
            param=share.path,
            code="invalid_value",
        )
    assert isinstance(share.value, float)
    return replace(share, kind=ClaimKind.TOKENS, value=int(share.value * fields.reply_limit))


def _wrap_up(fields: ThinkingFields) -> str | None:
    """The text under any of its names."""
    own = None if fields.options is None else fields.options.wrap_up or None
    foreign = fields.wish.wrap_up
    if foreign is None:
        return own
    if own is not None and own != foreign.value:
        raise contradiction(Claim(WRAP_UP, ClaimKind.WRAP_UP, own), foreign)
    return str(foreign.value)


def _with_options(ask: BudgetAsk, fields: ThinkingFields) -> BudgetAsk:
    options = fields.options
    if options is None:
        return ask
    kind = ThoughtKind(options.kind or ThoughtKind.TEXT.value)
    if kind is not ThoughtKind.TEXT:
        _check_nothing_is_sampled(fields, options, kind)
    strategy = None if options.strategy is None else strategy_of(options.strategy)
    if strategy is not None and fields.wish.seconds is not None:
        path = fields.wish.seconds.path
        raise BadRequestError(
            f"{path} and thinking_options.strategy contradict each other: a search has no time of "
            "one thought; bound it by max_thinking_tokens",
            param=path,
            code="contradictory_fields",
        )
    if strategy is not None and options.gate is not None and options.gate.mode != "off":
        raise BadRequestError(
            "thinking_options.gate and thinking_options.strategy contradict each other: a search "
            "is over the thought before the answer; send one of them",
            param="thinking_options.strategy",
            code="contradictory_fields",
        )
    return replace(
        ask,
        answer_reserve=options.answer_reserve,
        grace=options.grace,
        continuation=options.continuation,
        early_exit=options.early_exit,
        loop_guard=_loop_guard(options.loop_guard),
        segments=segment_rules(options),
        strategy=strategy,
        kind=kind,
    )


def _check_nothing_is_sampled(
    fields: ThinkingFields, options: NativeOptions, kind: ThoughtKind
) -> None:
    """Refuse what is about a thought that the model writes, beside one that it does not."""
    for name in _OF_WRITTEN_THOUGHTS:
        if getattr(options, name) is not None:
            raise _of_written_thoughts(f"thinking_options.{name}", kind)
    for claim in (fields.wish.wrap_up, fields.wish.seconds):
        if claim is not None:
            raise _of_written_thoughts(claim.path, kind)
    if fields.min_thinking_tokens:
        raise _of_written_thoughts("min_thinking_tokens", kind)


def _of_written_thoughts(param: str, kind: ThoughtKind) -> BadRequestError:
    return BadRequestError(
        f"{param} is about thoughts that the model writes; with thinking_options.kind "
        f"{kind.value!r} it writes none: leave one of the two out",
        param=param,
        code="contradictory_fields",
    )


def _loop_guard(wish: NativeLoopGuard | None) -> LoopGuard | None:
    if wish is None:
        return LoopGuard()
    if not wish.enabled:
        return None
    return LoopGuard(wish.max_period, wish.min_repeats, wish.min_tokens)
