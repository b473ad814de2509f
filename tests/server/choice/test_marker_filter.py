"""No marker is released, and nothing else is lost, however the text is split."""

from hypothesis import given
from hypothesis import strategies as st

from server.choice.decoder import ChoiceDecoder
from server.choice.decoding_settings import DecodingSettings
from server.choice.delta import ChoiceDelta
from server.choice.text_filters import MarkerFilter
from server.engine.protocol import EngineOutput, TokenLogprob, TokenLogprobs
from server.prompt.prepared_prompt import PreparedPrompt
from tests.server.conftest import PROFILES, TOKENIZER, ids
from thinking.budget import BudgetPolicy, BudgetRequest, resolve_budget
from thinking.plan import make_plan
from thinking.tracker_state import TrackerTables

PROFILE = PROFILES["special markers"]
MARKERS = ("<|a|>", "<|/a|>")
pieces = st.lists(st.text(alphabet="<|a/>b", max_size=6), max_size=20)


@given(pieces)
def test_the_released_text_holds_no_marker(split: list[str]) -> None:
    marker_filter = MarkerFilter(MARKERS)
    text = "".join(marker_filter.push(piece) for piece in split) + marker_filter.finish()
    assert not any(marker in text for marker in MARKERS)


@given(pieces)
def test_text_without_markers_passes_unchanged(split: list[str]) -> None:
    whole = "".join(split)
    marker_filter = MarkerFilter(MARKERS)
    text = "".join(marker_filter.push(piece) for piece in split) + marker_filter.finish()
    if not any(marker in whole for marker in MARKERS):
        assert text == whole
        assert marker_filter.num_removed == 0


@given(st.lists(st.integers(0, 5), max_size=20))
def test_a_marker_spelt_with_other_tokens_leaves_neither_text_nor_logprobs(
    sizes: list[int],
) -> None:
    plan = make_plan(PROFILE, 0)
    budget = resolve_budget(
        BudgetRequest(), BudgetPolicy(0), max_completion_tokens=None, context_left=99
    )
    settings = DecodingSettings(
        TrackerTables(PROFILE, frozenset()),
        TOKENIZER,
        PreparedPrompt((), budget, plan, 99, 0),
        filtered_markers=("[close]",),
    )
    decoder = ChoiceDecoder(0, settings)
    whole = ChoiceDelta(0)
    rest = list(ids("yes[close] sir [clo"))
    for size in [*sizes, len(rest)]:
        part, rest = rest[:size], rest[size:]
        entries = [TokenLogprobs(TokenLogprob(token_id, -1.0), ()) for token_id in part]
        whole.add(decoder.push(EngineOutput(part, entries, None if rest else "length")))
        if not rest:
            break
    assert whole.content == "yes sir [clo"
    assert TOKENIZER.decode([entry.sampled.token_id for entry in whole.logprobs]) == whole.content
