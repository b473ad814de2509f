"""Progress of a choice: its counts grow, end where the receipt does, and come seldom enough."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from server.choice.decoder import ChoiceDecoder
from server.choice.decoding_settings import DecodingSettings
from server.choice.delta import ChoiceDelta
from server.choice.progress import MIN_SECONDS_BETWEEN, ThinkingProgress
from server.engine.protocol import EngineOutput
from server.prompt.prepared_prompt import PreparedPrompt
from tests.server.conftest import PROFILES, TOKENIZER, ids
from tests.thinking.generators import plans, tables, token_streams
from thinking.budget import BudgetPolicy, BudgetRequest, resolve_budget
from thinking.markers.boundaries import find_boundary_token_ids
from thinking.plan import ThinkingPlan, make_plan
from thinking.receipt import BranchTally
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

ROUNDING = 1e-9
TABLES = TrackerTables(PROFILES["special markers"], find_boundary_token_ids(TOKENIZER))
TALLY = BranchTally("best_of", 3, 3, None, num_hidden=0, num_injected=0)
Arrivals = list[tuple[int, float]]
arrivals: st.SearchStrategy[Arrivals] = st.lists(
    st.tuples(st.integers(0, 9), st.floats(0, 0.4)), max_size=80
)


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def make_decoder(
    made: TrackerTables, plan: ThinkingPlan, clock: Clock, *, reports: bool = True
) -> ChoiceDecoder:
    budget = resolve_budget(
        BudgetRequest(max_thinking_tokens=plan.budget),
        BudgetPolicy(),
        max_completion_tokens=None,
        context_left=500,
    )
    prompt = PreparedPrompt((), budget, plan, 500, 400)
    return ChoiceDecoder(
        0, DecodingSettings(made, TOKENIZER, prompt, reports_progress=reports, clock=clock)
    )


def is_growing(progress: list[ThinkingProgress]) -> bool:
    return all(
        earlier.used < later.used
        and earlier.seconds <= later.seconds
        and earlier.segment <= later.segment
        for earlier, later in pairwise(progress)
    )


@given(st.data(), token_streams, arrivals)
def test_counts_grow_to_the_receipts_and_wait_for_each_other(
    data: st.DataObject, tokens: list[int], steps: Arrivals
) -> None:
    made = data.draw(tables())
    clock = Clock()
    plan = data.draw(plans(made.profile))
    decoder, tracker = make_decoder(made, plan, clock), ThinkingTracker(made, plan)
    found: list[ThinkingProgress] = []
    times: list[tuple[float, bool]] = []  # of each value, and whether it ends a thought
    for size, pause in [*steps, (len(tokens), 0.0)]:
        part, tokens = tokens[:size], tokens[size:]
        clock.now += pause
        delta = decoder.push(EngineOutput(part, finish_reason=None if tokens else "length"))
        for token_id in part:
            tracker.advance(token_id)
        if delta.progress is not None:
            found.append(delta.progress)
            times.append((clock.now, decoder.result is not None or not tracker.is_hidden))
        if decoder.result is not None:
            break
    assert decoder.result is not None
    receipt = decoder.result.receipt
    last = found[-1].used if found else 0
    assert last == receipt.used <= receipt.budget
    assert is_growing(found)
    if found:
        assert found[-1].segment == receipt.segments
        assert found[-1].seconds <= receipt.seconds
        assert {progress.budget for progress in found} == {receipt.budget}
    for (before, _), (after, ends) in pairwise(times):
        assert ends or after - before >= MIN_SECONDS_BETWEEN - ROUNDING


@given(st.lists(st.floats(0, 0.4), min_size=20, max_size=60))
def test_values_of_one_thought_keep_their_distance(pauses: list[float]) -> None:
    clock = Clock()
    plan = make_plan(PROFILES["special markers"], 100)
    decoder = make_decoder(TABLES, plan, clock)
    times = []
    for pause in pauses:
        clock.now += pause
        if decoder.push(EngineOutput(ids("a"))).progress is not None:
            times.append(clock.now)
    assert times[0] == pauses[0]  # the first one comes at once
    gaps = [after - before for before, after in pairwise(times)]
    assert all(gap >= MIN_SECONDS_BETWEEN - ROUNDING for gap in gaps)
    # And none comes later than it may.
    arrivals = [sum(pauses[: count + 1]) for count in range(len(pauses))]
    for before, after in pairwise([*times, arrivals[-1] + 1]):
        missed = [at for at in arrivals if before + MIN_SECONDS_BETWEEN + 1e-6 < at < after - 1e-6]
        assert not missed


def test_joined_deltas_keep_the_later_progress() -> None:
    early, late = (ThinkingProgress(used, 40, 0.5, 1) for used in (3, 8))
    joined = ChoiceDelta(0, progress=early)
    joined.add(ChoiceDelta(0, content="a"))
    assert joined.progress == early
    joined.add(ChoiceDelta(0, progress=late))
    assert (joined.progress, joined.content) == (late, "a")


@given(st.data(), token_streams)
def test_the_end_of_each_thought_is_reported_with_its_last_token(
    data: st.DataObject, tokens: list[int]
) -> None:
    """Even where no time passes at all."""
    made = data.draw(tables())
    plan = data.draw(plans(made.profile))
    decoder, tracker = make_decoder(made, plan, Clock()), ThinkingTracker(made, plan)
    reported = 0
    for token_id in tokens:
        was_hidden = tracker.is_hidden
        tracker.advance(token_id)
        progress = decoder.push(EngineOutput([token_id])).progress
        reported = progress.used if progress else reported
        if was_hidden and not tracker.is_hidden:
            assert reported == decoder.outcome().receipt.used


@given(st.data(), token_streams)
def test_nothing_else_of_the_output_changes(data: st.DataObject, tokens: list[int]) -> None:
    made = data.draw(tables())
    plan = data.draw(plans(made.profile))
    asked, unasked = (make_decoder(made, plan, Clock(), reports=told) for told in (True, False))
    for token_id in tokens:
        with_progress, without = (
            decoder.push(EngineOutput([token_id])) for decoder in (asked, unasked)
        )
        assert without.progress is None
        with_progress.progress = None
        assert with_progress == without
    assert asked.outcome() == unasked.outcome()


@given(st.data(), st.lists(st.tuples(st.integers(0, 5), st.floats(0, 0.4)), max_size=30))
def test_a_search_is_reported_while_it_runs_and_counted_once(
    data: st.DataObject, steps: Arrivals
) -> None:
    made = data.draw(tables())
    clock = Clock()
    decoder = make_decoder(made, data.draw(plans(made.profile)), clock)
    found: list[ThinkingProgress] = []
    used = 0
    for more, pause in steps:
        used, clock.now = used + more, clock.now + pause
        decoder.note_searching(used, clock.now)
        if progress := decoder.push(EngineOutput(())).progress:
            found.append(progress)
            assert progress.used == used
    decoder.note_search(TALLY, clock.now)
    decoder.adopt_branch(ThinkingPlan(), TALLY)
    assert decoder.outcome().receipt.used == 0
    assert is_growing(found)
