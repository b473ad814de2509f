"""Options that read the whole vocabulary, at the size of a real one."""

import torch

from tests.thinking.generators import EXIT_ID, STAND_IN_ID, STOP_IDS, TOKEN_BYTES
from tests.thinking.sampler.fused.engine import CPU, FusedEngine
from thinking.gate import GateMode, SegmentRules
from thinking.markers.profile import MarkerProfile, Opening
from thinking.plan import ThinkingPlan, ThinkingRules, make_plan
from thinking.sampler.arrays import NumpyArrays
from thinking.sampler.gating import entropy
from thinking.sampler.sampler import SamplerRow, ThinkingSampler
from thinking.sampler.tables import AutomatonTables
from thinking.tracker_state import TrackerTables

VOCAB_SIZE = 151_936
START, END, FULL_STOP, WORD = 10, 12, 20, 8
PROFILE = MarkerProfile(
    "real size", (START,), (END,), Opening.FORCED, STOP_IDS, STAND_IN_ID, EXIT_ID
)
SHARED = TrackerTables(PROFILE, frozenset({FULL_STOP}))


def make_gated_plan(threshold: float, mix: float) -> ThinkingPlan:
    rules = SegmentRules(GateMode.ENTROPY, threshold=threshold, opening=False, mix=mix)
    return make_plan(PROFILE, 40, ThinkingRules(segments=rules))


def run_on_cpu(plan: ThinkingPlan, stream: list[int], steps: list[torch.Tensor]) -> torch.Tensor:
    """Return the last row after `stream`, of which each step but the first adds one token."""
    tables = AutomatonTables(SHARED, VOCAB_SIZE, NumpyArrays(), TOKEN_BYTES)
    sampler = ThinkingSampler(tables, 1, CPU)
    start = len(stream) - len(steps) + 1
    row = SamplerRow(plan, stream[:start])
    sampler.update({0: row})
    for place, logits in enumerate(steps):
        row.output_token_ids[start:] = stream[start : start + place]
        constrained = sampler.apply(logits[None].clone())
    return constrained[0]


def test_all_options_are_as_on_the_cpu_at_a_vocabulary_of_151936() -> None:
    """An early exit and a gate, each just above and just below its threshold."""
    # Ever larger: each block of the vocabulary has a new maximum.
    rising = torch.linspace(-10, 10, VOCAB_SIZE)
    logits = torch.randn((4, VOCAB_SIZE), generator=torch.Generator().manual_seed(3)) + rising
    logits[:, 5] = float("-inf")
    logits[:, END] = torch.logsumexp(logits, 1) - 2
    share = float(torch.softmax(logits[0], 0)[END])
    logits[1], logits[3] = logits[0], logits[2]
    uncertainty = float(entropy(logits[2:3]))
    exits = [
        make_plan(PROFILE, 40, ThinkingRules(early_exit=share + away)) for away in (-1e-4, 1e-4)
    ]
    gated = [make_gated_plan(uncertainty + away, 0.5) for away in (-1e-3, 1e-3)]
    streams = [[START, 7, FULL_STOP], [START, 7, FULL_STOP], [WORD], [WORD]]
    plans = [*exits, *gated]
    engine = FusedEngine(SHARED, 4, 0, VOCAB_SIZE)
    for slot, (plan, stream) in enumerate(zip(plans, streams, strict=True)):
        engine.add(slot, plan, stream)
    rows = engine.constrain({slot: [] for slot in range(4)}, logits.clone())
    for slot, (plan, stream) in enumerate(zip(plans, streams, strict=True)):
        expected = run_on_cpu(plan, stream, [logits[slot]])
        torch.testing.assert_close(rows[slot][0], expected)
    chosen = [int(rows[slot][0].argmax()) for slot in range(4)]
    assert [token == EXIT_ID for token in chosen[:2]] == [True, False]
    assert [token == START for token in chosen[2:]] == [True, False]


def test_a_segment_that_begins_and_ends_in_one_step_mixes_its_own_logits() -> None:
    """Logits are kept at its first row, and mixed in at a later row of the same step.

    A second segment that a rejected part of the draft leads to does not take their place.
    """
    every = SegmentRules(GateMode.EVERY, interval=1, opening=False, mix=0.25, segment_tokens=8)
    plan = make_plan(PROFILE, 40, ThinkingRules(segments=every))
    segment = [START, 7, END]
    stream, draft = [WORD], [*segment, WORD, *segment]
    logits = torch.randn((20, 24), generator=torch.Generator().manual_seed(5))
    engine = FusedEngine(SHARED, 1, len(draft))
    engine.add(0, plan, stream)
    rows = engine.constrain({0: draft}, logits[: len(draft) + 1].clone())[0]
    opened, resumed = logits[0], logits[3]
    mixed = 0.25 * resumed + 0.75 * opened
    free = [token for token in range(24) if token not in {*STOP_IDS, START, END}]
    torch.testing.assert_close(rows[3][free], mixed[free])
    # Of the draft only the opening was accepted; the segment ends in a later step.
    engine.accept(0, segment)
    rows = engine.constrain({0: []}, logits[9:10].clone())[0]
    mixed = 0.25 * logits[9] + 0.75 * opened
    torch.testing.assert_close(rows[0][free], mixed[free])
