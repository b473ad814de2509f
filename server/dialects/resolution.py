"""From many claims to one wish, or a 400 that names the two that disagree.

The order between a count, an effort and a default is not decided here, but in
``thinking.budget``: what is decided is only what a request says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.dialects.claims import Claim, ClaimKind
from server.errors.api import BadRequestError
from thinking.budget import Effort


@dataclass(frozen=True, slots=True)
class ThinkingWish:
    """What a request says about thinking; None: nothing. Each with the field that said it.

    `show_paths` are all fields that speak of showing the thought.
    """

    tokens: Claim | None = None
    share: Claim | None = None
    effort: Claim | None = None
    switch: Claim | None = None
    show: Claim | None = None
    wrap_up: Claim | None = None
    seconds: Claim | None = None
    show_paths: tuple[str, ...] = ()

    @property
    def shows_thought(self) -> bool:
        """Whether the client wants to see the thought."""
        return self.show is not None and self.show.value is True

    @property
    def show_field(self) -> str:
        """The field to name where showing is not allowed."""
        return "include_reasoning" if self.show is None else self.show.path


def rule(claims: Sequence[Claim]) -> ThinkingWish:
    """What `claims` say together.

    Raises:
        BadRequestError: two of them disagree; `param` is the later one's path.
    """
    claims = _without_empty_budget(claims)
    agreed = {kind: _agreed(claims, kind) for kind in ClaimKind}
    wish = ThinkingWish(
        tokens=agreed[ClaimKind.TOKENS],
        share=agreed[ClaimKind.SHARE],
        effort=agreed[ClaimKind.EFFORT],
        switch=agreed[ClaimKind.SWITCH],
        show=agreed[ClaimKind.SHOW],
        wrap_up=agreed[ClaimKind.WRAP_UP],
        seconds=agreed[ClaimKind.SECONDS],
        show_paths=tuple(claim.path for claim in claims if claim.kind is ClaimKind.SHOW),
    )
    _check_on_and_off(wish)
    _check_counts(wish)
    return wish


def _without_empty_budget(claims: Sequence[Claim]) -> Sequence[Claim]:
    """Claude Code sends ``{"type": "adaptive", "budget_tokens": 0}``: it means no budget."""
    thinks = Claim("thinking.type", ClaimKind.SWITCH, True) in claims
    empty = Claim("thinking.budget_tokens", ClaimKind.TOKENS, 0)
    return [claim for claim in claims if claim != empty] if thinks else claims


def _agreed(claims: Iterable[Claim], kind: ClaimKind) -> Claim | None:
    """The first claim of `kind`, where all of that kind say the same."""
    first: Claim | None = None
    for claim in claims:
        if claim.kind is not kind:
            continue
        if first is not None and first.value != claim.value:
            raise contradiction(first, claim)
        first = first or claim
    return first


def _check_on_and_off(wish: ThinkingWish) -> None:
    """Nothing may both be switched off and be given a budget, or the other way round."""
    said = [claim for claim in (wish.switch, wish.tokens, wish.share, wish.effort) if claim]
    for claim in said:
        for other in said:
            # An explicit count beats an effort, except where one of them forbids thinking
            # in so many words.
            counted_out = claim.kind is ClaimKind.TOKENS and other.kind is ClaimKind.EFFORT
            if _is_off(claim) and not _is_off(other) and not counted_out:
                raise contradiction(other, claim)


def _is_off(claim: Claim) -> bool:
    if claim.kind is ClaimKind.EFFORT:
        return claim.value is Effort.NONE
    return not claim.value


def _check_counts(wish: ThinkingWish) -> None:
    if wish.tokens is not None and wish.share is not None:
        raise contradiction(wish.tokens, wish.share)
    # OpenRouter's own rule for its object; elsewhere the count simply wins.
    fields = {claim.path for claim in (wish.tokens, wish.effort) if claim is not None}
    if fields == {"reasoning.max_tokens", "reasoning.effort"}:
        assert wish.tokens is not None
        assert wish.effort is not None
        raise contradiction(wish.tokens, wish.effort)


def contradiction(first: Claim, second: Claim) -> BadRequestError:
    """Two fields that cannot both hold. Values are numbers, words of ours, or not shown."""
    return BadRequestError(
        f"{_shown(second)} contradicts {_shown(first)}; send one of them",
        param=second.path,
        code="contradictory_fields",
    )


def _shown(claim: Claim) -> str:
    match claim.value:
        case str():
            return claim.path  # a text of the caller's
        case Effort():
            return f"{claim.path} {claim.value.value!r}"
        case bool():
            return f"{claim.path} ({'on' if claim.value else 'off'})"
        case _:
            return f"{claim.path} {claim.value}"
