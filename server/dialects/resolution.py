"""Resolves the claims of a request to its parameters, or raises a 400 that names a conflict.

Decides only what a request means. Does not know the order of precedence of a count, an effort
and a default: that is in ``thinking.budget``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.dialects.claims import Claim, ClaimKind
from server.dialects.options import NativeOptions
from server.errors.api import BadRequestError
from thinking.budget import Effort


@dataclass(frozen=True, slots=True)
class ThinkingParams:
    """Thinking parameters of a request, each with the field that set it; None: not set.

    `show_paths` are the paths of all fields about showing the thought.
    """

    tokens: Claim | None = None
    share: Claim | None = None
    effort: Claim | None = None
    switch: Claim | None = None
    show: Claim | None = None
    wrap_up: Claim | None = None
    seconds: Claim | None = None
    show_paths: tuple[str, ...] = ()
    options: NativeOptions | None = None
    min_thinking_tokens: int | None = None
    # A thought of an earlier reply, sealed, which this one goes on with.
    sealed_thought: str | None = None
    # Whether the client wants a thought that is cut, sealed, to go on with it later.
    seals_thought: bool = False

    @property
    def shows_thought(self) -> bool:
        """True if the client wants to see the thought."""
        return self.show is not None and self.show.value is True

    @property
    def show_field(self) -> str:
        """Field to name in an error if showing is not allowed."""
        return "include_reasoning" if self.show is None else self.show.path


def resolve_claims(claims: Sequence[Claim]) -> ThinkingParams:
    """Return the parameters that `claims` set together.

    Raises:
        BadRequestError: two of them disagree; `param` is the path of the later one.
    """
    claims = _without_empty_budget(claims)
    agreed = {kind: _find_agreed(claims, kind) for kind in ClaimKind}
    thinking = ThinkingParams(
        tokens=agreed[ClaimKind.TOKENS],
        share=agreed[ClaimKind.SHARE],
        effort=agreed[ClaimKind.EFFORT],
        switch=agreed[ClaimKind.SWITCH],
        show=agreed[ClaimKind.SHOW],
        wrap_up=agreed[ClaimKind.WRAP_UP],
        seconds=agreed[ClaimKind.SECONDS],
        show_paths=tuple(claim.path for claim in claims if claim.kind is ClaimKind.SHOW),
    )
    _check_on_and_off(thinking)
    _check_counts(thinking)
    return thinking


def _without_empty_budget(claims: Sequence[Claim]) -> Sequence[Claim]:
    """Drop a budget of 0 if thinking is on.

    Claude Code sends ``{"type": "adaptive", "budget_tokens": 0}`` and means no budget.
    """
    thinks = Claim("thinking.type", ClaimKind.SWITCH, True) in claims
    empty = Claim("thinking.budget_tokens", ClaimKind.TOKENS, 0)
    return [claim for claim in claims if claim != empty] if thinks else claims


def _find_agreed(claims: Iterable[Claim], kind: ClaimKind) -> Claim | None:
    """Return the first claim of `kind`, after checking that all of this kind agree."""
    first: Claim | None = None
    for claim in claims:
        if claim.kind is not kind:
            continue
        if first is not None and first.value != claim.value:
            raise contradiction_error(first, claim)
        first = first or claim
    return first


def _check_on_and_off(thinking: ThinkingParams) -> None:
    """Raise BadRequestError if one field switches thinking off and another sets a budget."""
    claims = [
        claim
        for claim in (thinking.switch, thinking.tokens, thinking.share, thinking.effort)
        if claim
    ]
    for claim in claims:
        for other in claims:
            # An explicit count beats an effort, so a count of 0 beside an effort is fine.
            # Effort `none` beside a count is not.
            counted_out = claim.kind is ClaimKind.TOKENS and other.kind is ClaimKind.EFFORT
            # At Anthropic, this effort is about the answer too, and valid without thinking.
            is_about_answer = (claim.path, other.path) == ("thinking.type", "output_config.effort")
            if _is_off(claim) and not _is_off(other) and not (counted_out or is_about_answer):
                raise contradiction_error(other, claim)


def _is_off(claim: Claim) -> bool:
    if claim.kind is ClaimKind.EFFORT:
        return claim.value is Effort.NONE
    return not claim.value


def _check_counts(thinking: ThinkingParams) -> None:
    if thinking.tokens is not None and thinking.share is not None:
        raise contradiction_error(thinking.tokens, thinking.share)
    # OpenRouter's rule for its own object; elsewhere the count wins over the effort.
    fields = {claim.path for claim in (thinking.tokens, thinking.effort) if claim is not None}
    if fields == {"reasoning.max_tokens", "reasoning.effort"}:
        assert thinking.tokens is not None
        assert thinking.effort is not None
        raise contradiction_error(thinking.tokens, thinking.effort)


def contradiction_error(first: Claim, second: Claim) -> BadRequestError:
    """Return the error for two fields that contradict each other.

    Its message shows numbers and known words only, never the caller's text.
    """
    return BadRequestError(
        f"{_format_claim(second)} contradicts {_format_claim(first)}; send one of them",
        param=second.path,
        code="contradictory_fields",
    )


def _format_claim(claim: Claim) -> str:
    match claim.value:
        case str():
            return claim.path  # never show the caller's text
        case Effort():
            return f"{claim.path} {claim.value.value!r}"
        case bool():
            return f"{claim.path} ({'on' if claim.value else 'off'})"
        case _:
            return f"{claim.path} {claim.value}"
