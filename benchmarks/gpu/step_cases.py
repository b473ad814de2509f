"""Cases of the stage "step": output so far, plan, and what comes next.

Pure: no tensors and no vLLM.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.gpu.markers import ModelMarkers
from benchmarks.gpu.settings import Sizes
from benchmarks.gpu.sides import BUDGET
from thinking.gate import GateMode, SegmentRules
from thinking.plan import ThinkingPlan, ThinkingRules, make_plan

UNREACHED = 10_000_000  # a budget that no case reaches
NUM_WARM, NUM_CHECKED, NUM_PROFILED = 10, 5, 3
NUM_LEFT = 4  # steps between the measured ones and the first one that ends the thought
SHORT = 100


@dataclass(frozen=True, slots=True)
class StepCase:
    """Rows that are alike.

    `is_checked`: the budget ends the thoughts soon after the measured steps, which are then
    compared with the tracker. `is_greedy`: each row takes the likeliest token, forced ones
    included, rather than `planned`, so that segments come and go. `with_peer`: vLLM's budget is
    measured over the same history.
    """

    option: str
    rows: int
    plan: ThinkingPlan | None
    output: list[int]
    planned: list[int]
    is_checked: bool = False
    is_greedy: bool = False
    with_peer: bool = False

    @property
    def name(self) -> str:
        """Name in reports of problems."""
        return f"{self.option}, {self.rows} rows, {len(self.output):,} tokens"


def make_cases(markers: ModelMarkers, sizes: Sizes) -> Iterator[StepCase]:
    """Yield all cases, the most important one first."""
    for length in sizes.lengths:
        for rows in sizes.rows:
            yield make_budget_case(markers, rows, length, sizes.num_steps)
    yield from make_option_cases(markers, sizes.rows[0], sizes.num_steps)


def make_budget_case(
    markers: ModelMarkers, rows: int, length: int, num_steps: int, *, loop_guard: bool = True
) -> StepCase:
    """Return rows that have thought `length` tokens and may think a little longer."""
    num_planned = _count_planned(num_steps) + NUM_LEFT
    script = len(make_plan(markers.profile, UNREACHED, ThinkingRules()).script)
    budget = length + num_planned + script
    rules = ThinkingRules() if loop_guard else ThinkingRules(loop_guard=None)
    return StepCase(
        BUDGET if loop_guard else "no loop guard",
        rows,
        make_plan(markers.profile, budget, rules),
        _make_thought(markers, length),
        # Up to the budget's end, and beyond it.
        _choose_words(markers, num_planned + 4 * script + 8),
        is_checked=True,
        with_peer=loop_guard,
    )


def make_option_cases(markers: ModelMarkers, rows: int, num_steps: int) -> Iterator[StepCase]:
    """Yield rows that all use one option; where an option reads the logits, at every step."""
    profile, planned = markers.profile, _choose_words(markers, _count_planned(num_steps))
    yield StepCase("no plan", rows, None, _choose_words(markers, SHORT), planned)
    yield make_budget_case(markers, rows, SHORT, num_steps, loop_guard=False)
    boundary = min(markers.tables.boundary_token_ids)
    yield StepCase(
        "early exit, at a sentence's end",
        rows,
        make_plan(profile, UNREACHED, ThinkingRules(loop_guard=None, early_exit=0.9)),
        [*_make_thought(markers, SHORT - 1), boundary],
        [boundary] * len(planned),
    )
    gates = {
        "gate: every": SegmentRules(GateMode.EVERY, interval=UNREACHED, opening=False),
        "gate: after": SegmentRules(GateMode.AFTER, strings=("\n", "="), opening=False),
        "gate: entropy": SegmentRules(GateMode.ENTROPY, threshold=50.0, opening=False),
    }
    for name, gate in gates.items():
        plan = make_plan(profile, UNREACHED, ThinkingRules(segments=gate))
        yield StepCase(name, rows, plan, _choose_words(markers, SHORT), planned)
    mixing = SegmentRules(
        GateMode.EVERY,
        interval=1,
        max_segments=UNREACHED,
        segment_tokens=len(profile.start_token_ids) + len(profile.end_token_ids) + 4,
        opening=False,
        mix=0.5,
    )
    plan = make_plan(profile, UNREACHED, ThinkingRules(loop_guard=None, segments=mixing))
    words = _choose_words(markers, SHORT)
    yield StepCase("short segments, mixed", rows, plan, words[:1], planned, is_greedy=True)


def _count_planned(num_steps: int) -> int:
    return NUM_WARM + NUM_CHECKED + num_steps + NUM_PROFILED


def _make_thought(markers: ModelMarkers, length: int) -> list[int]:
    """Return the output of a reply that has thought: the forced opening, then words."""
    plan = make_plan(markers.profile, UNREACHED, ThinkingRules())
    opening = list(plan.script[: plan.close_at]) if plan.opens else []
    opening = opening[: length - 1]
    return opening + _choose_words(markers, length - len(opening))


def _choose_words(markers: ModelMarkers, count: int) -> list[int]:
    """Return random ordinary tokens, the same ones in each run; they contain no loop."""
    return random.Random(7).choices(markers.choose_word_ids(), k=count)
