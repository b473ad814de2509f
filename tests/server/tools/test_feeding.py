"""A reader gets each token together with its text, as soon as the text is complete."""

from collections.abc import Sequence

from server.tools.feeding import TokenFeed
from server.tools.reading import AnswerReader, ReadPiece


class Recorder:
    """Treats all text as content and records each push."""

    def __init__(self) -> None:
        self.pushed: list[tuple[str, tuple[int, ...]]] = []

    def push(self, text: str, token_ids: Sequence[int]) -> ReadPiece:
        self.pushed.append((text, tuple(token_ids)))
        return ReadPiece(text)

    def finish(self, *, is_cut: bool) -> ReadPiece:
        return ReadPiece()


def test_a_token_comes_with_its_text_at_once() -> None:
    recorder = Recorder()
    feed = TokenFeed(AnswerReader(recorder))
    for token_id, size in ((1, 2), (2, 0), (3, 1), (4, 3)):
        feed.note(token_id, size)
    assert feed.push("ab").content == "ab"
    assert recorder.pushed == [("ab", (1,))]
    assert feed.push("cde").content == "c"  # the last token's text is not whole yet
    assert recorder.pushed[1:] == [("c", (2, 3))]
    assert feed.finish(is_cut=True).content == "de"
