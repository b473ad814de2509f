"""The processor of top-k and top-p follows its requests through the batch."""

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality

from thinking.sampler.nucleus import Nucleus
from thinking.vllm_plugin.nucleus import NucleusLogitsProcessor, to_extra_args

NUM_ROWS, VOCAB_SIZE = 6, 20
CPU: Any = torch.device("cpu")
# The width of each row's nucleus is its request's mark; None: a row without limits.
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, NUM_ROWS - 1), st.none() | st.integers(1, 9)),
        st.tuples(st.just("remove"), st.integers(0, NUM_ROWS - 1), st.none()),
        st.tuples(st.just("swap"), st.integers(0, NUM_ROWS - 1), st.integers(0, NUM_ROWS - 1)),
    ),
    max_size=25,
)


@given(MOVES)
def test_each_row_keeps_as_many_tokens_as_its_own_request_says(
    moves: list[tuple[str, int, int | None]],
) -> None:
    processor = NucleusLogitsProcessor(None, CPU, False)
    expected: list[int | None] = [None] * NUM_ROWS
    for move, row, other in moves:
        added: list[Any] = []
        removed: list[int] = []
        moved: list[Any] = []
        if move == "add":
            nucleus = Nucleus() if other is None else Nucleus(top_k=other)
            params = SamplingParams(extra_args=to_extra_args(nucleus))
            added.append((row, params, None, []))
            expected[row] = other
        elif move == "remove":
            removed.append(row)
            expected[row] = None
        elif other is not None and other != row:
            moved.append((row, other, MoveDirectionality.SWAP))
            expected[row], expected[other] = expected[other], expected[row]
        processor.update_state(BatchUpdate(NUM_ROWS, removed, added, moved))
        logits = torch.arange(VOCAB_SIZE).float().repeat(NUM_ROWS, 1)
        kept = processor.apply(logits).isfinite().sum(-1).tolist()
        assert kept == [VOCAB_SIZE if width is None else width for width in expected]
