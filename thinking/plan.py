"""What the sampler is told about one request: a script of forced tokens and a budget.

A plan is made in the API process from a resolved budget and the model's profile, and
travels to the engine's worker in ``SamplingParams.extra_args["thinking"]``. It does
not know where the budget came from.

The script is one row of token ids that may be forced, in order::

    [start marker, primer][wrap-up][end marker][lead-in][continuation]
     0 … close_at          … end_at … lead_at   … close_end … len(script)

Opening forces ``[0, close_at)``; an enforced close forces ``[close_at, close_end)``; after
a close that the model wrote itself only the lead-in ``[lead_at, close_end)`` is forced;
an end that comes too soon is answered with the continuation.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from thinking.loop_guard import LoopGuard
from thinking.markers import MarkerProfile, Opening
from thinking.phase import Phase

EXTRA_ARGS_KEY = "thinking"
MAX_SCRIPT_TOKENS = 512


@dataclass(frozen=True, slots=True)
class ThinkingRules:
    """How a thought under a budget goes on and ends; all counts are tokens.

    `early_exit` is the probability of the end marker's first token above which a thought
    ends at a boundary; None: off. `loop_guard` None: off.
    """

    grace_tokens: int = 0
    min_tokens: int = 0
    early_exit: float | None = None
    loop_guard: LoopGuard | None = field(default_factory=LoopGuard)
    wrap_up_token_ids: tuple[int, ...] = ()
    continuation_token_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ThinkingPlan:
    """One request's opening thought.

    Invariant: ``close_end <= budget`` where the plan thinks at all; all counts are
    tokens.
    """

    script: tuple[int, ...] = ()
    close_at: int = 0
    end_at: int = 0
    lead_at: int = 0
    close_end: int = 0
    budget: int = 0
    grace_tokens: int = 0
    min_tokens: int = 0
    early_exit: float | None = None
    loop_guard: LoopGuard | None = None

    @property
    def thinks(self) -> bool:
        """Whether any token of this request may be hidden."""
        return bool(self.script)

    @property
    def close_cost(self) -> int:
        """Tokens that an enforced close takes."""
        return self.close_end - self.close_at

    @property
    def continuation_length(self) -> int:
        """Tokens of the continuation."""
        return len(self.script) - self.close_end

    @property
    def initial_phase(self) -> Phase:
        """Phase before the first output token."""
        if not self.thinks:
            return Phase.ANSWER
        if self.close_at > 0:
            return Phase.OPENING
        return Phase.THINKING if self.budget > self.close_cost else Phase.CLOSING

    def to_dict(self) -> dict[str, Any]:
        """Plain form for ``extra_args`` (survives msgpack)."""
        return asdict(self) | {"script": list(self.script)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ThinkingPlan":
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: the offsets are out of order, or the script is longer than
                ``MAX_SCRIPT_TOKENS`` or what must be forced longer than the budget.
        """
        guard = data["loop_guard"]
        values = {
            **data,
            "script": tuple(data["script"]),
            "loop_guard": None if guard is None else LoopGuard(**guard),
        }
        plan = cls(**values)
        plan.check()
        return plan

    def check(self) -> None:
        """Raise ValueError where the class invariant does not hold."""
        length = len(self.script)
        offsets = (0, self.close_at, self.end_at, self.lead_at, self.close_end, length)
        if list(offsets) != sorted(offsets):
            raise ValueError("thinking plan: offsets are out of order")
        if length > MAX_SCRIPT_TOKENS:
            raise ValueError(
                f"thinking plan: {length} forced tokens, at most {MAX_SCRIPT_TOKENS} are held"
            )
        if self.thinks and self.close_end > self.budget:
            raise ValueError("thinking plan: the forced tokens do not fit the budget")


def marker_cost(profile: MarkerProfile) -> int:
    """Smallest budget (tokens) that holds the markers that we or the model write."""
    opening = 0 if profile.opening is Opening.PROMPT else len(profile.start_token_ids)
    return opening + len(profile.end_token_ids)


def make_plan(
    profile: MarkerProfile, budget: int, rules: ThinkingRules | None = None
) -> ThinkingPlan:
    """Lay out the script for `budget` tokens.

    Where primer, lead-in and at least one free token do not fit beside the markers,
    the primer is left out, then the lead-in. A budget that cannot hold the markers
    (and the wrap-up, where one is asked for) gives a plan that does not think.
    """
    rules = rules or ThinkingRules()
    start = () if profile.opening is Opening.PROMPT else profile.start_token_ids
    end = rules.wrap_up_token_ids + profile.end_token_ids
    for primer, lead_in in (
        (profile.primer_token_ids, profile.lead_in_token_ids),
        ((), profile.lead_in_token_ids),
        ((), ()),
    ):
        opening = start + primer
        spare = 0 if not primer and not lead_in else 1
        if len(opening + end + lead_in) + spare <= budget:
            break
    else:
        return ThinkingPlan()
    lead_at = len(opening + end)
    return ThinkingPlan(
        script=opening + end + lead_in + rules.continuation_token_ids,
        close_at=len(opening),
        end_at=len(opening + rules.wrap_up_token_ids),
        lead_at=lead_at,
        close_end=lead_at + len(lead_in),
        budget=budget,
        grace_tokens=rules.grace_tokens,
        min_tokens=min(rules.min_tokens, budget),
        early_exit=rules.early_exit,
        loop_guard=rules.loop_guard,
    )
