"""The one place that reads what a body says about thinking.

Native spellings become a :class:`BudgetAsk`; spellings of other servers are known by
name, so that each is refused with the name that is right here instead of being ignored.
Knows nothing of models, tokens or the server's limits.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from server.errors import BadRequestError
from server.gates import NativeSegments, segment_rules
from server.strategies import NativeStrategy, strategy_of
from thinking.budget import BudgetAsk, Effort
from thinking.kind import ThoughtKind
from thinking.loop_guard import LoopGuard

_USE_COUNT = "use 'max_thinking_tokens'"
_USE_WRAP_UP = "use 'thinking_options.wrap_up'"
_USE_SWITCH = "use 'max_thinking_tokens' (0: no thinking) or 'reasoning_effort'"
_USE_SHOW = "use 'include_reasoning'"

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
# Field path of another server → what to write here.
FOREIGN_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "thinking_token_budget": _USE_COUNT,
        "thinking_budget": _USE_COUNT,
        "thinking_budget_tokens": _USE_COUNT,
        "thinking_tokens": _USE_COUNT,
        "reasoning_budget": _USE_COUNT,
        "reasoning_budget_tokens": _USE_COUNT,
        "reasoning_max_tokens": _USE_COUNT,
        "reasoning_tokens": _USE_COUNT,
        "max_reasoning_tokens": _USE_COUNT,
        "budget_tokens": _USE_COUNT,
        "think_budget": _USE_COUNT,
        "nvext": _USE_COUNT,
        "custom_params": _USE_COUNT,
        "logits_processors_args": f"{_USE_COUNT} and 'thinking_options.wrap_up'",
        "reasoning_budget_message": _USE_WRAP_UP,
        "think_stop_sentence": _USE_WRAP_UP,
        "reasoning": "use 'max_thinking_tokens', 'reasoning_effort' and 'include_reasoning'",
        "thinking": _USE_SWITCH,
        "output_config": "use 'reasoning_effort'",
        "effort": "use 'reasoning_effort'",
        "generationConfig": "use 'max_thinking_tokens' and 'include_reasoning'",
        "thinkingConfig": "use 'max_thinking_tokens' and 'include_reasoning'",
        "think": _USE_SWITCH,
        "enable_thinking": _USE_SWITCH,
        "chat_template_kwargs": _USE_SWITCH,
        "separate_reasoning": _USE_SHOW,
        "stream_reasoning": _USE_SHOW,
        "includeThoughts": _USE_SHOW,
        "extra_body": "its fields belong at the top level of the body",
    }
)


def right_name(path: str) -> str | None:
    """Advice for a foreign field at `path`; wherever it stands, its own name counts."""
    return FOREIGN_FIELDS.get(path) or FOREIGN_FIELDS.get(path.rpartition(".")[2])


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


class NativeFields(Protocol):
    """The thinking fields of a body, checked one by one but not against each other."""

    @property
    def max_thinking_tokens(self) -> int | None:
        """-1: as if not given."""

    @property
    def min_thinking_tokens(self) -> int | None:
        """A thought is held open until then."""

    @property
    def reasoning_effort(self) -> str | None:
        """A member of :class:`Effort`."""

    @property
    def thinking_options(self) -> NativeOptions | None:
        """The rarer options."""


def budget_ask(body: NativeFields) -> BudgetAsk:
    """What `body` says about its budget.

    Raises:
        BadRequestError: effort "none" beside a budget above zero, or a gate's fields at odds.
    """
    tokens = None if body.max_thinking_tokens == -1 else body.max_thinking_tokens
    effort = None if body.reasoning_effort is None else Effort(body.reasoning_effort)
    if effort is Effort.NONE and tokens:
        raise BadRequestError(
            f"reasoning_effort 'none' contradicts max_thinking_tokens {tokens}; send one of them",
            param="reasoning_effort",
            code="contradictory_fields",
        )
    ask = BudgetAsk(
        max_thinking_tokens=tokens,
        effort=effort,
        min_thinking_tokens=body.min_thinking_tokens,
    )
    options = body.thinking_options
    if options is None:
        return ask
    kind = ThoughtKind(options.kind or ThoughtKind.TEXT.value)
    if kind is not ThoughtKind.TEXT:
        _check_nothing_is_sampled(body, options, kind)
    strategy = None if options.strategy is None else strategy_of(options.strategy)
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
        wrap_up=options.wrap_up or None,
        continuation=options.continuation,
        early_exit=options.early_exit,
        loop_guard=_loop_guard(options.loop_guard),
        segments=segment_rules(options),
        strategy=strategy,
        kind=kind,
    )


def _check_nothing_is_sampled(
    body: NativeFields, options: NativeOptions, kind: ThoughtKind
) -> None:
    """Refuse what is about a thought that the model writes, beside one that it does not."""
    for name in _OF_WRITTEN_THOUGHTS:
        if getattr(options, name) is not None:
            raise _of_written_thoughts(f"thinking_options.{name}", kind)
    if body.min_thinking_tokens:
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
