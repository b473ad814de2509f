"""Law 7: thoughts inside the answer, with the real sampler on synthetic logits."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.thinking.generators import (
    EXIT_ID,
    STAND_IN_ID,
    STOP_IDS,
    TOKEN_BYTES,
    VOCAB_SIZE,
    plans,
    tables,
)
from thinking.gate import GateMode, SegmentRules
from thinking.markers.profile import MarkerProfile, Opening
from thinking.phase import Phase, StopCause, TokenKind
from thinking.plan import ThinkingPlan, ThinkingRules, count_min_segment_tokens, make_plan
from thinking.sampler.arrays import NumpyArrays
from thinking.sampler.constraints import FORCED
from thinking.sampler.gating import entropy
from thinking.sampler.sampler import SamplerRow, ThinkingSampler
from thinking.sampler.tables import AutomatonTables
from thinking.segments import Segmenter
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

CPU = torch.device("cpu")
NUMPY = NumpyArrays()
START, END, TOOL, WORD, OTHER = 10, 12, 13, 8, 9
TAGS = MarkerProfile(
    "tags", (START,), (END,), Opening.FORCED, STOP_IDS, STAND_IN_ID, EXIT_ID,
    tool_call_token_ids=(TOOL,),
)  # fmt: skip
LONG = replace(TAGS, start_token_ids=(10, 11), end_token_ids=(12, 14), tool_call_token_ids=())
EVERY = SegmentRules(GateMode.EVERY, interval=3, segment_tokens=8, opening=False)
Model = Callable[[list[int]], torch.Tensor]


def generate(
    shared: TrackerTables, plan: ThinkingPlan, model: Model, num_tokens: int
) -> list[tuple[int, TokenKind]]:
    """Return `num_tokens` tokens sampled from `model` under `plan`, and their kinds."""
    shared_tables = AutomatonTables(shared, VOCAB_SIZE, NUMPY, TOKEN_BYTES)
    sampler = ThinkingSampler(shared_tables, 1, CPU)
    tracker = ThinkingTracker(shared, plan)
    row = SamplerRow(plan, [])
    sampler.update({0: row})
    generator = torch.Generator().manual_seed(0)
    kinds = []
    for _ in range(num_tokens):
        logits = sampler.apply(model(row.output_token_ids)[None].clone())[0]
        token_id = int(torch.multinomial(torch.softmax(logits, 0), 1, generator=generator))
        row.output_token_ids.append(token_id)
        kinds.append((token_id, tracker.advance(token_id)))
    return kinds


def wants(token_id: int) -> Model:
    """Return a model that is certain of one token."""
    logits = torch.zeros(VOCAB_SIZE)
    logits[token_id] = 60.0
    return lambda _: logits


def shape_of(taken: list[tuple[int, TokenKind]]) -> str:
    """Return one letter per token: `a` for the answer, `h` for hidden."""
    return "".join("a" if kind is TokenKind.ANSWER else "h" for _, kind in taken)


def shared(profile: MarkerProfile) -> TrackerTables:
    return TrackerTables(profile, frozenset())


@given(st.data())
def test_segments_keep_to_budget_length_number_and_gap(data: st.DataObject) -> None:
    drawn = data.draw(tables())
    plan = data.draw(plans(drawn.profile).filter(lambda plan: plan.segments is not None))
    assert plan.segments is not None
    seed = data.draw(st.integers(0, 1000))
    noise = torch.randn((VOCAB_SIZE, VOCAB_SIZE), generator=torch.Generator().manual_seed(seed))
    taken = generate(
        drawn, plan, lambda output: 3 * noise[output[-1] if output else 0], min(80, plan.max_tokens)
    )
    shape = shape_of(taken)
    assert shape.count("h") <= plan.budget
    segments = [run for run in shape.split("a") if run]
    if plan.opens:
        segments = segments[1:]
    assert len(segments) <= plan.segments.max_segments
    assert all(len(run) <= plan.segments.segment_tokens for run in segments)
    gaps = [run for run in shape.split("h")[1:-1] if run]
    assert all(len(gap) >= plan.segments.gap for gap in gaps)


@given(st.data())
def test_a_reply_never_ends_inside_a_segment(data: st.DataObject) -> None:
    """The room that a segment takes leaves a token of the reply for the answer."""
    drawn = data.draw(tables())
    rules = replace(EVERY, segment_tokens=data.draw(st.integers(10, 60)))
    limit = data.draw(st.integers(1, 100))
    plan = make_plan(drawn.profile, 60, ThinkingRules(segments=rules, max_tokens=limit))
    taken = generate(drawn, plan, wants(20), limit)
    assert taken[-1][1] is TokenKind.ANSWER


@pytest.mark.parametrize("profile", [TAGS, LONG])
def test_every_n_answer_tokens_a_thought(profile: MarkerProfile) -> None:
    plan = make_plan(profile, 100, ThinkingRules(segments=EVERY))
    taken = generate(shared(profile), plan, wants(WORD), 33)
    assert shape_of(taken) == ("aaa" + "h" * 8) * 3
    ids = [token_id for token_id, kind in taken[3:11]]
    signal = () if profile.signals_with_marker else (EXIT_ID,)
    opening = (*signal, *profile.start_token_ids)
    assert tuple(ids[: len(opening)]) == opening
    assert tuple(ids[-len(profile.end_token_ids) :]) == profile.end_token_ids


def test_segments_stop_at_their_number_and_at_the_budget() -> None:
    few = make_plan(TAGS, 100, ThinkingRules(segments=replace(EVERY, max_segments=2)))
    assert shape_of(generate(shared(TAGS), few, wants(WORD), 40)).count("ah") == 2
    small = make_plan(TAGS, 11, ThinkingRules(segments=EVERY))
    shape = shape_of(generate(shared(TAGS), small, wants(WORD), 40))
    assert shape == "aaa" + "h" * 8 + "aaa" + "h" * 3 + "a" * 23


@pytest.mark.parametrize(
    ("share", "least", "shape"),
    [
        (0.5, 0, "h" * 12 + "aaa" + "h" * 8 + "aaa" + "h" * 4 + "aaa"),
        (0.25, 0, "h" * 18 + "aaa" + "h" * 6 + "aaa"),
        (0.0, 0, "h" * 24 + "a" * 6),
        (0.5, 20, "h" * 20 + "aaa" + "h" * 4 + "aaa"),  # a minimum is more than a share
    ],
)
def test_an_opening_thought_leaves_segments_their_share(
    share: float, least: int, shape: str
) -> None:
    rules = ThinkingRules(segments=replace(EVERY, opening=True, share=share), min_tokens=least)
    taken = generate(shared(TAGS), make_plan(TAGS, 24, rules), wants(WORD), len(shape))
    assert shape_of(taken) == shape


@given(st.data())
def test_after_an_opening_thought_a_segment_fits(data: st.DataObject) -> None:
    """Law 13, for every profile, text and budget that can hold a segment."""
    drawn = data.draw(tables())
    rules = replace(EVERY, opening=True, share=data.draw(st.floats(0.01, 0.99)))
    rules = replace(rules, segment_tokens=data.draw(st.integers(10, 40)), max_segments=1)
    plan = make_plan(drawn.profile, data.draw(st.integers(1, 80)), ThinkingRules(segments=rules))
    # A model that neither ends a thought nor writes a marker, as long as there is such a token.
    free = set(range(3, VOCAB_SIZE - 2)) - {*drawn.profile.start_token_ids}
    free -= {*drawn.profile.end_token_ids}
    taken = generate(drawn, plan, wants(max(free)), 120)
    shape = shape_of(taken)
    num_thoughts = sum(run != "" for run in shape.split("a"))
    assert num_thoughts == plan.opens + (plan.segments is not None)
    assert shape.count("h") <= plan.budget


def test_where_two_thoughts_do_not_fit_the_segment_stays() -> None:
    plan = make_plan(LONG, 8, ThinkingRules(segments=replace(EVERY, opening=True)))
    assert shape_of(generate(shared(LONG), plan, wants(WORD), 14)) == "aaa" + "h" * 8 + "aaa"


@pytest.mark.parametrize(("threshold", "opens"), [(0.9, False), (0.5, True)])
def test_the_entropy_gate_opens_above_its_threshold_only(threshold: float, opens: bool) -> None:
    rules = SegmentRules(GateMode.ENTROPY, threshold=threshold, segment_tokens=8, opening=False)
    plan = make_plan(TAGS, 100, ThinkingRules(segments=rules))
    logits = torch.full((VOCAB_SIZE,), -1e9)
    logits[WORD] = logits[OTHER] = 5.0  # a coin: 0.69 nats
    taken = generate(shared(TAGS), plan, lambda _: logits, 10)
    assert (taken[0][0] == START) is opens


def test_entropy_is_shannons_in_nats() -> None:
    rows = torch.tensor([[0.0, 0.0, float("-inf")], [5.0, float("-inf"), float("-inf")]])
    assert torch.allclose(entropy(rows), torch.tensor([2.0, 1.0]).log())


def test_a_string_opens_the_gate_however_it_is_split_into_tokens() -> None:
    """Token 8 is "ab", token 9 is "b"."""
    assert (TOKEN_BYTES[8], TOKEN_BYTES[9]) == (b"ab", b"b")
    answer = [9, 8, 9, 8, 8]

    def model(output: list[int]) -> torch.Tensor:
        said = [token_id for token_id in output if token_id in (8, 9)]
        return wants(answer[len(said) % len(answer)])(output)

    rules = SegmentRules(GateMode.AFTER, strings=("bba",), segment_tokens=3, opening=False)
    plan = make_plan(TAGS, 100, ThinkingRules(segments=rules))
    # "bba" ends in the middle of a token: no thought can start there.
    assert shape_of(generate(shared(TAGS), plan, model, 5)) == "aaaaa"
    whole = replace(rules, strings=("zz", "abb"))
    plan = make_plan(TAGS, 100, ThinkingRules(segments=whole))
    taken = generate(shared(TAGS), plan, model, 6)
    assert [token_id for token_id, _ in taken[:4]] == [9, 8, 9, START]


def test_the_same_end_of_an_answer_opens_the_gate_once() -> None:
    rules = SegmentRules(GateMode.AFTER, strings=("ab",), segment_tokens=3, opening=False)
    plan = make_plan(TAGS, 100, ThinkingRules(segments=rules))
    assert shape_of(generate(shared(TAGS), plan, wants(8), 12)) == "ahhh" * 3


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_leaving_a_segment_mixes_the_logits_from_before_with_those_after(weight: float) -> None:
    rules = replace(EVERY, interval=1, segment_tokens=3, mix=weight)
    plan = make_plan(TAGS, 100, ThinkingRules(segments=rules))
    sampler = ThinkingSampler(AutomatonTables(shared(TAGS), VOCAB_SIZE, NUMPY), 1, CPU)
    row = SamplerRow(plan, [WORD])
    sampler.update({0: row})
    generator = torch.Generator().manual_seed(1)
    before, after = torch.randn(2, VOCAB_SIZE, generator=generator)
    assert sampler.apply(before[None].clone())[0, START] == FORCED
    assert sampler.apply(before[None].clone())[0, START] == FORCED  # a step done again
    for token_id in (START, WORD, END):
        row.output_token_ids.append(token_id)
        mixed = sampler.apply(after[None].clone())[0]
    free = [i for i in range(VOCAB_SIZE) if i not in (*STOP_IDS, START, END)]
    wanted = weight * after + (1 - weight) * before
    assert torch.allclose(mixed[free], wanted[free])
    row.output_token_ids.append(WORD)
    sampler.update({1: row})
    unmixed = sampler.apply(torch.stack((before, after)))
    assert unmixed[1, START] == FORCED  # one answer token: the next segment


def test_a_tool_call_in_a_thought_ends_it_and_is_never_touched_again() -> None:
    rules = ThinkingRules(segments=replace(EVERY, opening=True))
    plan = make_plan(TAGS, 100, rules)
    tracker = ThinkingTracker(shared(TAGS), plan)
    segmenter = Segmenter(tracker, keep_thought=True)
    split = segmenter.push([START, WORD, TOOL, WORD, WORD])
    assert (split.thought, split.answer) == ([WORD], [TOOL, WORD, WORD])
    assert tracker.stop_cause is StopCause.NATURAL
    taken = generate(shared(TAGS), plan, lambda o: wants(TOOL if len(o) == 4 else WORD)(o), 40)
    assert shape_of(taken) == "hhhh" + "a" * 36


def test_a_tool_call_below_the_minimum_is_treated_as_an_end() -> None:
    plan = make_plan(TAGS, 40, ThinkingRules(min_tokens=6, continuation_token_ids=(21, 22)))
    taken = generate(shared(TAGS), plan, wants(TOOL), 20)
    ids = [token_id for token_id, _ in taken]
    assert ids[:5] == [START, STAND_IN_ID, 21, 22, STAND_IN_ID]
    assert ids.index(TOOL) >= 6


def test_no_segment_can_be_shorter_than_its_markers() -> None:
    for profile in (TAGS, LONG):
        least = count_min_segment_tokens(profile)
        for tokens, possible in ((least - 1, False), (least, True)):
            rules = ThinkingRules(segments=replace(EVERY, segment_tokens=tokens))
            plan = make_plan(profile, 100, rules)
            assert plan.thinks is possible
            plan.check()
            assert ThinkingPlan.from_dict(plan.to_dict()) == plan


def test_a_plan_without_an_opening_thought_starts_with_the_answer() -> None:
    plan = make_plan(TAGS, 100, ThinkingRules(segments=EVERY))
    tracker = ThinkingTracker(shared(TAGS), plan)
    assert (tracker.state.phase, tracker.num_segments) == (Phase.ANSWER, 0)
