"""What the sampler is told about one request: a script of forced tokens and a budget.

A plan is made in the API process from a resolved budget and the model's profile, and
travels to the engine's worker in ``SamplingParams.extra_args["thinking"]``. It does
not know where the budget came from.

The script is one row of token ids that may be forced, in order::

    [start marker, primer][wrap-up][end marker][lead-in]
     0 … close_at          … end_at … lead_at   … len(script)

Opening forces ``[0, close_at)``; an enforced close forces ``[close_at, len)``; after a
close that the model wrote itself only the lead-in ``[lead_at, len)`` is forced.
"""

from dataclasses import dataclass
from typing import Any

from thinking.markers import MarkerProfile, Opening
from thinking.phase import Phase

EXTRA_ARGS_KEY = "thinking"
MAX_SCRIPT_TOKENS = 512


@dataclass(frozen=True, slots=True)
class ThinkingPlan:
    """One request's opening thought.

    Invariant: ``len(script) <= budget`` where the plan thinks at all; all counts are
    tokens.
    """

    script: tuple[int, ...] = ()
    close_at: int = 0
    end_at: int = 0
    lead_at: int = 0
    budget: int = 0
    grace_tokens: int = 0

    @property
    def thinks(self) -> bool:
        """Whether any token of this request may be hidden."""
        return bool(self.script)

    @property
    def close_cost(self) -> int:
        """Tokens that an enforced close takes."""
        return len(self.script) - self.close_at

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
        return {
            "script": list(self.script),
            "close_at": self.close_at,
            "end_at": self.end_at,
            "lead_at": self.lead_at,
            "budget": self.budget,
            "grace_tokens": self.grace_tokens,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ThinkingPlan":
        """Inverse of :meth:`to_dict`.

        Raises:
            ValueError: the offsets are out of order, or the script is longer than
                ``MAX_SCRIPT_TOKENS`` or than the budget.
        """
        plan = cls(**{**data, "script": tuple(data["script"])})
        plan.check()
        return plan

    def check(self) -> None:
        """Raise ValueError where the class invariant does not hold."""
        length = len(self.script)
        if not 0 <= self.close_at <= self.end_at <= self.lead_at <= length:
            raise ValueError("thinking plan: offsets are out of order")
        if length > MAX_SCRIPT_TOKENS:
            raise ValueError(
                f"thinking plan: {length} forced tokens, at most {MAX_SCRIPT_TOKENS} are held"
            )
        if self.thinks and length > self.budget:
            raise ValueError("thinking plan: the forced tokens do not fit the budget")


def marker_cost(profile: MarkerProfile) -> int:
    """Smallest budget (tokens) that holds the markers that we or the model write."""
    opening = 0 if profile.opening is Opening.PROMPT else len(profile.start_token_ids)
    return opening + len(profile.end_token_ids)


def make_plan(
    profile: MarkerProfile,
    budget: int,
    grace_tokens: int = 0,
    wrap_up_token_ids: tuple[int, ...] = (),
) -> ThinkingPlan:
    """Lay out the script for `budget` tokens.

    Where primer, lead-in and at least one free token do not fit beside the markers,
    the primer is left out, then the lead-in. A budget that cannot hold the markers
    (and the wrap-up, where one is asked for) gives a plan that does not think.
    """
    start = () if profile.opening is Opening.PROMPT else profile.start_token_ids
    end = profile.end_token_ids
    for primer, lead_in in (
        (profile.primer_token_ids, profile.lead_in_token_ids),
        ((), profile.lead_in_token_ids),
        ((), ()),
    ):
        opening = start + primer
        script = opening + wrap_up_token_ids + end + lead_in
        spare = 0 if not primer and not lead_in else 1
        if len(script) + spare <= budget:
            break
    else:
        return ThinkingPlan()
    end_at = len(opening) + len(wrap_up_token_ids)
    return ThinkingPlan(
        script=script,
        close_at=len(opening),
        end_at=end_at,
        lead_at=end_at + len(end),
        budget=budget,
        grace_tokens=grace_tokens,
    )
