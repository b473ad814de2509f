"""A choice reads the same however the engine splits its tokens into outputs."""

from hypothesis import given
from hypothesis import strategies as st

from server.choice.decoder import ChoiceDecoder
from server.choice.decoding_settings import DecodingSettings
from server.choice.delta import ChoiceDelta
from server.choice.outcome import ChoiceOutcome
from server.engine.protocol import EngineOutput, TokenLogprob, TokenLogprobs
from server.prompt.prepared_prompt import PreparedPrompt
from tests.server.conftest import PROFILES, STOP_ID, TOKENIZER, ids
from thinking.budget import BudgetPolicy, BudgetRequest, resolve_budget
from thinking.markers.boundaries import find_boundary_token_ids
from thinking.plan import make_plan
from thinking.tracker_state import TrackerTables

PROFILE = PROFILES["special markers"]
TABLES = TrackerTables(PROFILE, find_boundary_token_ids(TOKENIZER))
TOKENS = (*ids("<think>Hm. 🙂</think>on the 👍 one<|im_start|> line, STOP in"), STOP_ID)


def prepared(budget: int) -> PreparedPrompt:
    """A prompt with a plan for `budget` tokens."""
    resolved = resolve_budget(
        BudgetRequest(max_thinking_tokens=budget),
        BudgetPolicy(),
        max_completion_tokens=None,
        context_left=500,
    )
    return PreparedPrompt((), resolved, make_plan(PROFILE, budget), 500, 400)


def outputs(sizes: list[int]) -> list[EngineOutput]:
    """`TOKENS` in outputs of these sizes, then the rest."""
    split, rest = [], list(TOKENS)
    for size in [*sizes, len(TOKENS)]:
        part, rest = rest[:size], rest[size:]
        entries = [TokenLogprobs(TokenLogprob(token_id, -1.0), ()) for token_id in part]
        split.append(EngineOutput(part, entries, None if rest else "stop"))
        if not rest:
            break
    return split


def read(sizes: list[int], stops: list[str]) -> ChoiceDelta:
    """All deltas, joined."""
    settings = DecodingSettings(TABLES, TOKENIZER, prepared(64), stops=stops, keeps_thought=True)
    decoder = ChoiceDecoder(0, settings)
    whole = ChoiceDelta(0)
    for output in outputs(sizes):
        whole.add(decoder.push(output))
        if decoder.result:
            break
    return whole


@given(st.lists(st.integers(0, 12), max_size=20), st.sampled_from(([], ["STOP"], ["👍", "xx"])))
def test_splitting_changes_nothing(sizes: list[int], stops: list[str]) -> None:
    split, one_by_one = read(sizes, stops), read([1] * len(TOKENS), stops)
    answer = "on the 👍 one line, STOP in"
    expected = answer.partition(stops[0])[0] if stops else answer
    assert split.content == one_by_one.content == expected
    assert split.reasoning == "Hm. 🙂"
    assert split.result is not None
    assert split.result.finish_reason == "stop"
    assert split.result.num_reasoning == len(ids("<think>Hm. 🙂</think>"))
    sampled = [entry.sampled.token_id for entry in split.logprobs]
    assert sampled == [entry.sampled.token_id for entry in one_by_one.logprobs]
    assert TOKENIZER.decode(sampled, skip_special_tokens=True) == expected


def test_a_choice_left_in_its_thought_was_cancelled() -> None:
    decoder = ChoiceDecoder(0, DecodingSettings(TABLES, TOKENIZER, prepared(64)))
    decoder.push(EngineOutput(ids("<think>Hm")))
    outcome = decoder.outcome()
    assert (outcome.receipt.stop, outcome.receipt.used) == ("cancelled", 3)
    assert outcome.num_answer == 0
    assert outcome.first_answer_token is None


def test_an_outcome_has_the_receipt_of_its_result_and_the_moments_of_its_tokens() -> None:
    moments = iter(range(100))
    settings = DecodingSettings(TABLES, TOKENIZER, prepared(64), clock=lambda: float(next(moments)))
    decoder = ChoiceDecoder(0, settings)
    for text in ("<think>Hm", ".", "</think>Yes."):
        decoder.push(EngineOutput(ids(text)))
    decoder.push(EngineOutput([STOP_ID], finish_reason="stop"))
    assert decoder.result is not None
    assert decoder.outcome() == ChoiceOutcome(
        receipt=decoder.result.receipt,
        num_answer=len(ids("Yes.")) + 1,
        started=0.0,
        first_token=1.0,
        first_answer_token=3.0,
    )
    assert decoder.result.receipt.seconds == 2.0  # of two outputs after the first
