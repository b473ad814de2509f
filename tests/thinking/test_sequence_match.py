"""The automaton finds the same matches as a search over the whole stream."""

from hypothesis import given
from hypothesis import strategies as st

from thinking.sequence_match import build_transition_table, number_symbols

tokens = st.integers(0, 3)


@given(
    sequence=st.lists(tokens, min_size=1, max_size=8),
    other=st.lists(tokens, max_size=4),
    stream=st.lists(st.integers(0, 5), max_size=80),
)
def test_state_is_the_longest_prefix_that_ends_the_stream(
    sequence: list[int], other: list[int], stream: list[int]
) -> None:
    symbols = number_symbols((sequence, other))
    table = build_transition_table(sequence, symbols)
    state = 0
    for end in range(1, len(stream) + 1):
        state = table[state][symbols.get(stream[end - 1], 0)]
        seen = stream[:end]
        longest = max(k for k in range(len(sequence) + 1) if seen[end - k :] == sequence[:k])
        assert state == longest
