"""Creates the sampler's plan from a resolved budget and the options of a request.

Encodes the texts that a caller forces into a thought. The error for a text that does not fit names
both lengths. Does not resolve budgets and does not know the fields of request bodies.
"""

from dataclasses import replace

from server.errors.api import BadRequestError
from server.prompt.forgery import ForgeryGuard
from thinking.budget import BudgetRequest, ThinkingBudget, to_grace_tokens
from thinking.gate import SegmentRules
from thinking.kind import ThoughtKind, make_filler_plan
from thinking.markers.fragments import FragmentEncoder
from thinking.markers.profile import MarkerProfile
from thinking.plan import (
    MAX_SCRIPT_TOKENS,
    ThinkingPlan,
    ThinkingRules,
    count_marker_tokens,
    count_min_segment_tokens,
    make_plan,
)

# The text that s1 (arXiv 2501.19393) appends when a model stops thinking too early.
DEFAULT_CONTINUATION = "\nWait,"
WRAP_UP = "thinking_options.wrap_up"
CONTINUATION = "thinking_options.continuation"
MIN_TOKENS = "min_thinking_tokens"
KIND = "thinking_options.kind"
SEGMENT_TOKENS = "thinking_options.segment_tokens"


class ThoughtPlanner:
    """Plans the thoughts of one model."""

    def __init__(
        self, profile: MarkerProfile, encoder: FragmentEncoder, guard: ForgeryGuard
    ) -> None:
        self._profile = profile
        self._encoder = encoder
        self._guard = guard
        self._num_markers = count_marker_tokens(profile)

    def plan(
        self, request: BudgetRequest, budget: ThinkingBudget, *, continues: bool = False
    ) -> ThinkingPlan:
        """Plan the thought of a request; `continues`: one that an earlier reply has begun.

        Raises:
            BadRequestError: a text or a minimum does not fit the budget.
        """
        if request.kind is not ThoughtKind.TEXT:
            return self._plan_filler(request.kind, budget)
        rules = ThinkingRules(
            grace_tokens=budget.grace_tokens,
            min_tokens=self._check_min_tokens(request, budget),
            early_exit=request.early_exit,
            loop_guard=request.loop_guard,
            wrap_up_token_ids=self._encode_wrap_up(request, budget),
            continuation_token_ids=self._encode_continuation(request),
            segments=self._check_segments(request),
            max_tokens=budget.max_tokens,
            continues=continues,
        )
        return make_plan(self._profile, budget.budget, rules)

    def encode_words(self, text: str) -> tuple[int, ...] | None:
        """Return the tokens of a caller's text inside a thought.

        None if it has control tokens of the model, or the text of a marker: as plain text they
        could forge nothing, but neither would they say what the caller means.
        """
        return None if len(self._guard.cut_text(text)) > 1 else self._encode_plain(text)

    def _plan_filler(self, kind: ThoughtKind, budget: ThinkingBudget) -> ThinkingPlan:
        if kind is ThoughtKind.IMPLICIT and not self._profile.implicit_token_ids:
            raise BadRequestError(
                f"{KIND}: this model was not trained to think implicitly; send 'text' or 'pause'",
                param=KIND,
                code="invalid_value",
            )
        plan = make_filler_plan(self._profile, budget.budget, kind)
        return replace(plan, max_tokens=budget.max_tokens)

    def _check_segments(self, request: BudgetRequest) -> SegmentRules | None:
        if request.segments is None:
            return None
        length = request.segments.segment_tokens
        num_wrap_up = len(self._encode_plain(request.wrap_up)) if request.wrap_up else 0
        least = count_min_segment_tokens(self._profile, num_wrap_up)
        if length < least:
            raise BadRequestError(
                f"{SEGMENT_TOKENS} ({length}) must be at least {least}: the tokens that open and "
                "close a thought of this model, the wrap-up, and one token of the thought",
                param=SEGMENT_TOKENS,
                code="segment_too_short",
            )
        return replace(request.segments, grace_tokens=to_grace_tokens(request.grace, length))

    def _check_min_tokens(self, request: BudgetRequest, budget: ThinkingBudget) -> int:
        """Return the minimum, or the whole budget if a limit has shrunk it below the minimum."""
        wanted = request.min_thinking_tokens
        if not wanted:
            return 0
        granted = budget.budget if budget.limited_by is None else budget.requested
        if granted is not None and wanted > granted:
            raise BadRequestError(
                f"{MIN_TOKENS} ({wanted}) is larger than the thinking budget ({granted}); "
                "raise max_thinking_tokens to at least that",
                param=MIN_TOKENS,
                code="contradictory_fields",
            )
        return min(wanted, budget.budget)

    def _encode_wrap_up(self, request: BudgetRequest, budget: ThinkingBudget) -> tuple[int, ...]:
        if not request.wrap_up:
            return ()
        token_ids = self._encode_plain(request.wrap_up)
        room = min(self._count_script_room(), budget.budget)
        if len(token_ids) + self._num_markers > room:
            raise BadRequestError(
                f"{WRAP_UP} has {len(token_ids)} tokens, and the markers "
                f"{self._num_markers}; together they must fit {room} tokens "
                f"(the thinking budget is {budget.budget})",
                param=WRAP_UP,
                code="wrap_up_too_long",
            )
        return token_ids

    def _encode_continuation(self, request: BudgetRequest) -> tuple[int, ...]:
        if not request.min_thinking_tokens:
            return ()
        if request.continuation is None:
            return self._encoder.encode(DEFAULT_CONTINUATION)
        token_ids = self._encode_plain(request.continuation)
        room = self._count_script_room() - self._num_markers
        if request.wrap_up:
            room -= len(self._encode_plain(request.wrap_up))
        if len(token_ids) > room:
            raise BadRequestError(
                f"{CONTINUATION} has {len(token_ids)} tokens; at most {room} fit together with "
                "the markers and the wrap-up",
                param=CONTINUATION,
                code="continuation_too_long",
            )
        return token_ids

    def _count_script_room(self) -> int:
        """Return how many forced tokens the caller's texts and the markers may have together.

        A small budget omits primer and lead-in, but a full script does not. The script may contain
        the start marker and the primer twice.
        """
        profile = self._profile
        opening = len(profile.start_token_ids) + len(profile.primer_token_ids)
        own = opening + len(profile.primer_token_ids) + len(profile.lead_in_token_ids)
        return MAX_SCRIPT_TOKENS - own

    def _encode_plain(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a caller's text; control tokens in it stay text."""
        pieces = self._guard.cut_text(text)
        return tuple(token for ids in self._encoder.encode_many(pieces) for token in ids)
