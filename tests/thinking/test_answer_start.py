"""The answer starts exactly where the tracker's next token belongs to the answer."""

from hypothesis import given
from hypothesis import strategies as st

from tests.thinking.generators import plans, tables, token_streams
from thinking.answer_start import AnswerStart
from thinking.tracker import ThinkingTracker


@given(st.data())
def test_it_has_begun_exactly_when_the_next_token_is_an_answer_token(data: st.DataObject) -> None:
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    prompt = data.draw(token_streams)
    tracker = ThinkingTracker(shared, plan)
    start = AnswerStart(ThinkingTracker(shared, plan))
    written = list(prompt)
    begun = not tracker.is_hidden
    assert start.has_begun(written, len(prompt)) == begun
    for token in data.draw(token_streams):
        tracker.advance(token)
        written.append(token)
        begun = begun or not tracker.is_hidden  # an answer that has begun stays begun
        assert start.has_begun(written, len(prompt)) == begun


@given(st.data())
def test_it_does_not_matter_how_many_tokens_arrive_at_once(data: st.DataObject) -> None:
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    tokens = data.draw(token_streams)
    one_by_one = AnswerStart(ThinkingTracker(shared, plan))
    verdicts = [one_by_one.has_begun(tokens[:length]) for length in range(len(tokens) + 1)]
    at_once = AnswerStart(ThinkingTracker(shared, plan))
    assert at_once.has_begun(tokens) == verdicts[-1]
    # Later calls with fewer tokens, in any order, give the same result.
    for length in reversed(range(len(tokens) + 1)):
        assert at_once.has_begun(tokens[:length]) == verdicts[length]


@given(st.data())
def test_tokens_of_a_draft_are_forgotten(data: st.DataObject) -> None:
    """Drafts are asked about from their longest part to their shortest, then others accepted."""
    shared = data.draw(tables())
    plan = data.draw(plans(shared.profile))
    start = AnswerStart(ThinkingTracker(shared, plan))
    output: list[int] = []
    for step in data.draw(st.lists(token_streams, max_size=4)):
        draft = data.draw(token_streams.map(lambda tokens: tokens[:4]))
        for length in range(len(draft), 0, -1):
            tried = output + draft[:length]
            at_once = AnswerStart(ThinkingTracker(shared, plan))
            assert start.has_begun(tried, 0, length) == at_once.has_begun(tried)
        output += step
        at_once = AnswerStart(ThinkingTracker(shared, plan))
        assert start.has_begun(output, 0, len(step)) == at_once.has_begun(output)


@given(st.data())
def test_no_token_is_read_twice(data: st.DataObject) -> None:
    """Otherwise the cost of a long thought would grow with the square of its length."""
    shared = data.draw(tables())
    start = AnswerStart(ThinkingTracker(shared, data.draw(plans(shared.profile))))
    tokens = CountedTokens(data.draw(token_streams))
    for length in range(len(tokens) + 1):
        start.has_begun(tokens.take(length))
    assert sum(tokens.num_reads) <= len(tokens)


class CountedTokens(list[int]):
    """List of tokens that counts how often its tokens are read."""

    def __init__(self, tokens: list[int], num_reads: list[int] | None = None) -> None:
        super().__init__(tokens)
        self.num_reads = [0] if num_reads is None else num_reads

    def take(self, length: int) -> "CountedTokens":
        """Return the first `length` tokens, with a shared counter."""
        return CountedTokens(list(self)[:length], self.num_reads)

    def __getitem__(self, index: int) -> int:  # type: ignore[override]
        self.num_reads[0] += 1
        return super().__getitem__(index)
