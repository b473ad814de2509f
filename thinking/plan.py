"""The sampler's instructions for one request: a script of forced tokens and a budget.

A plan is built in the API process from a resolved budget and the model's profile, and is
sent to the engine's worker in ``SamplingParams.extra_args["thinking"]``. It does not know
where the budget came from.

The script is a row of token ids that may be forced, in this order::

    [start marker, primer][wrap-up][end marker][lead-in][continuation][segment opening]
     0 … close_at          … end_at … lead_at   … close_end … segment_at … len(script)

Opening forces ``[0, close_at)``. An enforced close forces ``[close_at, close_end)``. After
a close that the model wrote itself, only the lead-in ``[lead_at, close_end)`` is forced. An
end that comes too soon is replaced by the continuation. A thought inside the answer (a
segment) is opened by a signal token and the tokens from ``segment_at`` on; it has no lead-in.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from thinking.command import ThoughtCommand, check_commands
from thinking.gate import SegmentRules
from thinking.loop_guard import LoopGuard
from thinking.markers.profile import MarkerProfile, Opening
from thinking.phase import Phase
from thinking.record_check import check_numbers

EXTRA_ARGS_KEY = "thinking"
# Of the fields of a plan and what they mean; API server and engine may be of two releases.
PLAN_VERSION = 1
MAX_SCRIPT_TOKENS = 512
NO_LIMIT = 2**30
_LISTS = ("script", "prior_token_ids", "earlier_token_ids")


@dataclass(frozen=True, slots=True)
class ThinkingRules:
    """Rules by which the thoughts under a budget start, continue and end; all counts are tokens.

    `early_exit` is the probability of the end marker's first token above which a thought
    ends at a boundary; None: off. `loop_guard` None: off. `segments` None: no thought
    inside the answer. `max_tokens` is the length of the whole reply.
    """

    grace_tokens: int = 0
    min_tokens: int = 0
    early_exit: float | None = None
    loop_guard: LoopGuard | None = field(default_factory=LoopGuard)
    wrap_up_token_ids: tuple[int, ...] = ()
    continuation_token_ids: tuple[int, ...] = ()
    segments: SegmentRules | None = None
    max_tokens: int = NO_LIMIT
    # The prompt ends inside a thought of an earlier reply, which goes on: nothing opens it.
    continues: bool = False

    @property
    def opens(self) -> bool:
        """True if the reply starts with a thought."""
        return self.segments is None or self.segments.opening


@dataclass(frozen=True, slots=True)
class ThinkingPlan:
    """Plan of all thoughts of a request.

    Invariant: if `opens`, ``close_end <= opening_budget``; if `segments` is set, the shortest
    segment fits ``segments.segment_tokens``. All counts are tokens.
    """

    script: tuple[int, ...] = ()
    close_at: int = 0
    end_at: int = 0
    lead_at: int = 0
    close_end: int = 0
    segment_at: int = 0
    opens: bool = False
    budget: int = 0
    grace_tokens: int = 0
    min_tokens: int = 0
    early_exit: float | None = None
    loop_guard: LoopGuard | None = None
    segments: SegmentRules | None = None
    # Part of the budget that the opening thought leaves for segments.
    kept_tokens: int = 0
    max_tokens: int = NO_LIMIT
    # Tokens of the reply that are already at the end of the prompt: a request that continues
    # an earlier one (a branch of a search) starts in the state that they lead to.
    prior_token_ids: tuple[int, ...] = ()
    # Last tokens of a thought of an earlier reply, at the end of the prompt: the opening thought
    # goes on from them, or, if the plan does not open, they were closed in the prompt.
    earlier_token_ids: tuple[int, ...] = ()
    # Changes to this plan while the prior tokens were written. The other fields are those of the
    # beginning: what was written under them is read under them.
    commands: tuple[ThoughtCommand, ...] = ()
    # False: a thought holds no token that opens a tool call; where the model would write one, it
    # ends as at the end of the reply. A grammar of the answer can then see every token of a call.
    calls_end_thoughts: bool = True

    @property
    def thinks(self) -> bool:
        """True if any token of this request may be hidden."""
        return bool(self.script)

    @property
    def min_tokens_before_call(self) -> int:
        """Number of hidden tokens before a tool call may end the thought."""
        return self.min_tokens if self.calls_end_thoughts else NO_LIMIT

    @property
    def opening_budget(self) -> int:
        """Most tokens that the opening thought may take of the budget."""
        return self.budget - self.kept_tokens

    @property
    def close_cost(self) -> int:
        """Number of tokens that an enforced close of the opening thought takes."""
        return self.close_end - self.close_at

    @property
    def continuation_length(self) -> int:
        """Number of tokens in the continuation."""
        return self.segment_at - self.close_end

    @property
    def segment_cost(self) -> int:
        """Number of tokens in the shortest segment: signal, opening, one free token, close."""
        return 2 + len(self.script) - self.segment_at + self.lead_at - self.close_at

    @property
    def initial_phase(self) -> Phase:
        """Phase before the first output token."""
        if not self.opens:
            return Phase.ANSWER
        if self.close_at > 0:
            return Phase.OPENING
        return Phase.THINKING if self.opening_budget > self.close_cost else Phase.CLOSING

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict for ``extra_args`` that survives msgpack."""
        segments = None if self.segments is None else self.segments.to_dict()
        lists = {name: list(getattr(self, name)) for name in _LISTS}
        commands = [command.to_dict() for command in self.commands]
        own = {"segments": segments, "commands": commands, "version": PLAN_VERSION}
        return asdict(self) | lists | own

    @classmethod
    def from_dict(cls, data: Any) -> "ThinkingPlan":
        """Build a plan from the result of :meth:`to_dict`, or what another process sent as one.

        Raises:
            ValueError: the plan is of another version or no plan, the offsets or the commands are
                out of order, the script is longer than ``MAX_SCRIPT_TOKENS``, or the forced tokens
                do not fit the budget or a segment.
        """
        version = data.get("version") if isinstance(data, dict) else None
        if version != PLAN_VERSION:
            raise ValueError(
                f"thinking plan: version {version!r}, and this sampler reads {PLAN_VERSION}: "
                "install the same release of thinking-server in API servers and engines"
            )
        try:
            plan = cls._read(data)
            for record in (plan, plan.loop_guard, plan.segments, *plan.commands):
                if record is not None:
                    check_numbers(record)
            plan.check()
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"thinking plan: a field is missing, or none of its: {error}"
            ) from error
        except ValueError as error:
            problem = str(error).removeprefix("thinking plan: ")
            raise ValueError(f"thinking plan: {problem}") from error
        return plan

    @classmethod
    def _read(cls, data: dict[str, Any]) -> "ThinkingPlan":
        guard, segments = data["loop_guard"], data["segments"]
        values = {
            **data,
            **{name: tuple(data[name]) for name in _LISTS},
            "commands": tuple(map(ThoughtCommand.from_dict, data["commands"])),
            "loop_guard": None if guard is None else LoopGuard(**guard),
            "segments": None if segments is None else SegmentRules.from_dict(segments),
        }
        del values["version"]
        return cls(**values)

    def check(self) -> None:
        """Raise ValueError if the class invariant does not hold."""
        length = len(self.script)
        marks = (self.close_at, self.end_at, self.lead_at, self.close_end, self.segment_at)
        offsets = (0, *marks, length)
        if list(offsets) != sorted(offsets):
            raise ValueError("thinking plan: offsets are out of order")
        if length > MAX_SCRIPT_TOKENS:
            raise ValueError(
                f"thinking plan: {length} forced tokens; at most {MAX_SCRIPT_TOKENS} are allowed"
            )
        if self.opens and self.close_end > self.opening_budget:
            raise ValueError("thinking plan: the forced tokens do not fit the budget")
        if self.segments is not None and self.segment_cost > self.segments.segment_tokens:
            raise ValueError("thinking plan: the forced tokens do not fit a segment")
        check_commands(self.commands, len(self.prior_token_ids))


def count_marker_tokens(profile: MarkerProfile) -> int:
    """Return the smallest budget, in tokens, that holds the markers which we or the model write."""
    opening = 0 if profile.opening is Opening.PROMPT else len(profile.start_token_ids)
    return opening + len(profile.end_token_ids)


def count_min_segment_tokens(profile: MarkerProfile, num_wrap_up: int = 0) -> int:
    """Return the length of the shortest segment, in tokens: opening, one free token and close."""
    opening = len(_get_segment_start(profile))
    return 2 + opening + num_wrap_up + len(profile.end_token_ids)


def make_plan(
    profile: MarkerProfile, budget: int, rules: ThinkingRules | None = None
) -> ThinkingPlan:
    """Lay out the script for a budget of `budget` tokens.

    If primer, lead-in and at least one free token do not fit in addition to the markers, the
    primer is left out, then the lead-in. A budget that cannot hold the markers (and the
    wrap-up, if one is requested) gives a plan that does not think. With segments, the opening
    thought has what the budget does not keep for them; if that cannot hold its markers, there
    is no opening thought.
    """
    rules = rules or ThinkingRules()
    end = rules.wrap_up_token_ids + profile.end_token_ids
    segment = _choose_segment_opening(profile, len(end), budget, rules.segments)
    kept = 0 if segment is None else _count_kept_tokens(rules, budget, 2 + len(segment + end))
    texts = None
    if rules.opens:
        texts = _choose_opening(profile, len(end), budget - kept, continues=rules.continues)
    opens = texts is not None
    if not opens and segment is None:
        return ThinkingPlan()
    opening, lead_in = texts or ((), ())
    script = opening + end + lead_in + rules.continuation_token_ids
    lead_at = len(opening + end)
    return ThinkingPlan(
        script=script + (segment or ()),
        close_at=len(opening),
        end_at=len(opening + rules.wrap_up_token_ids),
        lead_at=lead_at,
        close_end=lead_at + len(lead_in),
        segment_at=len(script),
        opens=opens,
        budget=budget,
        grace_tokens=rules.grace_tokens,
        min_tokens=min(rules.min_tokens, budget),
        early_exit=rules.early_exit,
        loop_guard=rules.loop_guard,
        segments=rules.segments if segment is not None else None,
        kept_tokens=kept if opens else 0,
        max_tokens=rules.max_tokens,
    )


def _count_kept_tokens(rules: ThinkingRules, budget: int, shortest: int) -> int:
    """Return the part of `budget` that is kept for segments, of `shortest` tokens or more.

    A minimum of thinking that the request sets goes first: the opening thought can reach it.
    """
    assert rules.segments is not None  # there is a segment to keep tokens for
    share = rules.segments.share
    if not share:
        return 0
    kept = max(int(share * budget), min(shortest, budget))
    return max(0, min(kept, budget - rules.min_tokens))


def _choose_opening(
    profile: MarkerProfile, close_cost: int, budget: int, *, continues: bool
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Choose the opening and the lead-in of the first thought; None if `budget` is too small."""
    is_open = continues or profile.opening is Opening.PROMPT
    start = () if is_open else profile.start_token_ids
    for primer, lead_in in (
        (() if continues else profile.primer_token_ids, profile.lead_in_token_ids),
        ((), profile.lead_in_token_ids),
        ((), ()),
    ):
        spare = 0 if not primer and not lead_in else 1
        if len(start + primer) + close_cost + len(lead_in) + spare <= budget:
            return start + primer, lead_in
    return None


def _choose_segment_opening(
    profile: MarkerProfile, close_cost: int, budget: int, segments: SegmentRules | None
) -> tuple[int, ...] | None:
    """Choose the tokens forced after a segment's signal; None if no segment is possible."""
    if segments is None:
        return None
    start = _get_segment_start(profile)
    for primer in (profile.primer_token_ids, ()):
        if 2 + len(start + primer) + close_cost <= min(budget, segments.segment_tokens):
            return start + primer
    return None


def _get_segment_start(profile: MarkerProfile) -> tuple[int, ...]:
    """Return the start marker, or () if the marker is itself the signal."""
    return () if profile.signals_with_marker else profile.start_token_ids
