"""No marker and not most of one is released, and nothing else is lost, however text is split."""

from hypothesis import example, given
from hypothesis import strategies as st

from server.choice.marker_filter import MarkerFilter
from thinking.markers.imitation import find_forbidden_beginning

MARKERS = ("<|abab|>", "<|aba/b|>\n", "<|abc>")
FORBIDDEN = [find_forbidden_beginning(marker) for marker in MARKERS]
PARTS = [marker[:length] for marker in MARKERS for length in range(1, len(marker) + 1)]
parts = st.lists(st.sampled_from([*PARTS, "b|>", "bab|>", " ", "x"]), max_size=12)


def clean(pieces: list[str]) -> str:
    """What a filter releases of `pieces`, after checking its account of what it has removed."""
    marker_filter = MarkerFilter(MARKERS)
    text = "".join(marker_filter.push(piece) for piece in pieces) + marker_filter.finish()
    assert marker_filter.num_held == 0
    cuts = marker_filter.take_cuts()
    assert len(text) + sum(cut.length for cut in cuts) == sum(map(len, pieces))
    assert all(cut.length > 0 for cut in cuts)
    return text


@given(parts)
@example(["<|", "<|abab|>", "abab|>"])
@example(["<|aba", "<|abab|>", "<|abab|>", "b|", ">"])
def test_the_released_text_contains_no_forbidden_beginning(pieces: list[str]) -> None:
    text = clean(pieces)
    assert not any(beginning in text for beginning in FORBIDDEN)


@given(parts, st.lists(st.integers(0, 8), max_size=30))
def test_the_split_changes_nothing(pieces: list[str], sizes: list[int]) -> None:
    whole = "".join(pieces)
    split, rest = [], whole
    for size in sizes:
        split.append(rest[:size])
        rest = rest[size:]
    split.append(rest)
    assert clean(split) == clean([whole]) == clean(list(whole))


@given(st.lists(st.text(alphabet="<|ab/>\n", max_size=6), max_size=20))
def test_text_without_forbidden_beginnings_passes_unchanged(split: list[str]) -> None:
    whole = "".join(split)
    if not any(beginning in whole for beginning in FORBIDDEN):
        assert clean(split) == whole


@given(parts)
def test_only_the_beginning_of_a_marker_is_held_back(pieces: list[str]) -> None:
    marker_filter = MarkerFilter(MARKERS)
    for piece in pieces:
        marker_filter.push(piece)
        assert marker_filter.num_held < max(map(len, MARKERS))


def test_the_longest_beginning_is_removed_and_the_rest_stays() -> None:
    assert clean(["a <|abab|", " b"]) == "a  b"
    assert clean(["a <|aba/b|", "<|ab"]) == "a <|ab"
    assert clean(["a <|abab|"]) == "a "  # also at the end of an answer that was cut
    assert clean(["<|aba/b|>", "\n\nx"]) == "\nx"
