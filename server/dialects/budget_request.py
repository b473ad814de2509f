"""Converts the thinking fields of a body to the :class:`BudgetRequest` of ``thinking.budget``.

Checks the options against each other and against the dialects' fields. Knows nothing of models,
tokens or the server's limits.
"""

from dataclasses import replace

from server.dialects.claims import Claim, ClaimKind
from server.dialects.gates import to_segment_rules
from server.dialects.options import NativeLoopGuard, NativeOptions
from server.dialects.resolution import ThinkingParams, contradiction_error
from server.dialects.strategies import to_strategy
from server.errors.api import BadRequestError
from thinking.budget import BudgetRequest, Effort
from thinking.kind import ThoughtKind
from thinking.loop_guard import LoopGuard
from thinking.strategies.protocol import Strategy

WRAP_UP = "thinking_options.wrap_up"
CONTINUE = "continue_thinking"

# Fields of `thinking_options` that are meaningless if no part of a thought is sampled.
_OF_SAMPLED_THOUGHTS = (
    "grace",
    "wrap_up",
    "continuation",
    "loop_guard",
    "early_exit",
    "gate",
    "sampling",
    "strategy",
)


def to_budget_request(thinking: ThinkingParams, max_tokens: int | None) -> BudgetRequest:
    """Return the budget that a body requests; `max_tokens` limits the whole reply.

    Raises:
        BadRequestError: two fields contradict each other, or a share is requested of a reply
            without a limit.
    """
    request = _with_options(_from_claims(thinking, max_tokens), thinking)
    if thinking.sealed_thought is not None:
        _check_goes_on(request)
    return replace(request, wrap_up=_get_wrap_up(thinking))


def _from_claims(thinking: ThinkingParams, max_tokens: int | None) -> BudgetRequest:
    request = BudgetRequest(min_thinking_tokens=thinking.min_thinking_tokens)
    if thinking.effort is not None:
        assert isinstance(thinking.effort.value, Effort)
        request = replace(request, effort=thinking.effort.value, effort_source=thinking.effort.path)
    if (count := thinking.tokens or _to_token_claim(thinking, max_tokens)) is not None:
        tokens = int(count.value) if not isinstance(count.value, Effort) else 0
        request = replace(request, max_thinking_tokens=tokens, max_thinking_source=count.path)
    if thinking.switch is not None:
        if thinking.switch.value:
            return replace(request, switched_on_by=thinking.switch.path)
        path = thinking.switch.path
        return replace(request, max_thinking_tokens=0, max_thinking_source=path)
    return request


def _to_token_claim(thinking: ThinkingParams, max_tokens: int | None) -> Claim | None:
    """Return the requested share of the reply as a count of tokens."""
    share = thinking.share
    if share is None:
        return None
    if max_tokens is None:
        raise BadRequestError(
            f"{share.path}: a share needs the reply's limit (max_tokens); send it, or tokens "
            "(an integer)",
            param=share.path,
            code="invalid_value",
        )
    assert isinstance(share.value, float)
    return replace(share, kind=ClaimKind.TOKENS, value=int(share.value * max_tokens))


def _get_wrap_up(thinking: ThinkingParams) -> str | None:
    """Return the wrap-up text under any of its names."""
    own = None if thinking.options is None else thinking.options.wrap_up or None
    foreign = thinking.wrap_up
    if foreign is None:
        return own
    if own is not None and own != foreign.value:
        raise contradiction_error(Claim(WRAP_UP, ClaimKind.WRAP_UP, own), foreign)
    return str(foreign.value)


def _with_options(request: BudgetRequest, thinking: ThinkingParams) -> BudgetRequest:
    options = thinking.options
    if options is None:
        return request
    kind = ThoughtKind(options.kind or ThoughtKind.TEXT.value)
    if kind is not ThoughtKind.TEXT:
        _check_nothing_is_sampled(thinking, options, kind)
    strategy = None if options.strategy is None else to_strategy(options.strategy)
    if strategy is not None:
        _check_search(thinking, options)
    return _with_shape(request, options, strategy, kind)


def _check_goes_on(request: BudgetRequest) -> None:
    """Raise BadRequestError if the reply begins without a thought that could go on."""
    if request.kind is not ThoughtKind.TEXT:
        raise _sampled_thought_error(CONTINUE, request.kind)
    if request.segments is not None and not request.segments.opening:
        raise BadRequestError(
            f"{CONTINUE} and thinking_options.gate.opening: false contradict each other: the "
            "thought at the start of the reply goes on; leave one of the two out",
            param=CONTINUE,
            code="contradictory_fields",
        )


def _with_shape(
    request: BudgetRequest, options: NativeOptions, strategy: Strategy | None, kind: ThoughtKind
) -> BudgetRequest:
    return replace(
        request,
        answer_reserve=options.answer_reserve,
        grace=options.grace,
        continuation=options.continuation,
        early_exit=options.early_exit,
        loop_guard=_to_loop_guard(options.loop_guard),
        segments=to_segment_rules(options),
        strategy=strategy,
        kind=kind,
    )


def _check_search(thinking: ThinkingParams, options: NativeOptions) -> None:
    """Raise BadRequestError if a field cannot be combined with a search over thoughts."""
    if thinking.seconds is not None:
        path = thinking.seconds.path
        raise BadRequestError(
            f"{path} and thinking_options.strategy contradict each other: a search has no time "
            "limit for a single thought; limit it with max_thinking_tokens",
            param=path,
            code="contradictory_fields",
        )
    if options.gate is not None and options.gate.mode != "off":
        raise BadRequestError(
            "thinking_options.gate and thinking_options.strategy contradict each other: a search "
            "covers only the thought before the answer; send one of them",
            param="thinking_options.strategy",
            code="contradictory_fields",
        )


def _check_nothing_is_sampled(
    thinking: ThinkingParams, options: NativeOptions, kind: ThoughtKind
) -> None:
    """Raise BadRequestError if a field is about sampled thoughts, as `kind` has none."""
    for name in _OF_SAMPLED_THOUGHTS:
        if getattr(options, name) is not None:
            raise _sampled_thought_error(f"thinking_options.{name}", kind)
    for claim in (thinking.wrap_up, thinking.seconds):
        if claim is not None:
            raise _sampled_thought_error(claim.path, kind)
    if thinking.min_thinking_tokens:
        raise _sampled_thought_error("min_thinking_tokens", kind)


def _sampled_thought_error(param: str, kind: ThoughtKind) -> BadRequestError:
    return BadRequestError(
        f"{param} is about thoughts that the model writes; with thinking_options.kind "
        f"{kind.value!r} it writes none: leave one of the two out",
        param=param,
        code="contradictory_fields",
    )


def _to_loop_guard(options: NativeLoopGuard | None) -> LoopGuard | None:
    if options is None:
        return LoopGuard()
    if not options.enabled:
        return None
    return LoopGuard(options.max_period, options.min_repeats, options.min_tokens)
