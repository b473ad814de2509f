"""Limits of one row of the logits, as a record, and as one kernel hands it to the next.

Does not know how it is decided, nor how it is written to the logits.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl

# int32 per row: whether the second kernel is wanted, a rule, a segment's number
RULE_WIDTH = 16
THINKING = 4  # the column that says whether the next token is sampled inside a thought
SEGMENT = 9  # the column of the number
_THINKING = tl.constexpr(THINKING)


class Rule(NamedTuple):
    """Limits of the next token of one row; int32 each.

    `forced` is a token id, or -1. `moved` and `banned` are bits of watched tokens whose
    probability goes to the stand-in, and of those that may not be sampled. The rest are 0 or 1,
    and are decided by a pass over the vocabulary: `opens` (a segment begins), `tries_entropy`,
    `tries_exit`, `resumes` (the answer goes on after a segment).
    """

    forced: Any
    moved: Any
    banned: Any
    thinking: Any
    opens: Any
    tries_entropy: Any
    tries_exit: Any
    resumes: Any


@triton.jit
def store_rule(row, rule, later, num_segments_left):
    """Store a rule at `row`, for the second kernel; only the phase, unless `later`."""
    tl.store(row, later)
    tl.store(row + _THINKING, rule.thinking)
    if later != 0:
        tl.store(row + 1, rule.forced)
        tl.store(row + 2, rule.moved)
        tl.store(row + 3, rule.banned)
        tl.store(row + 5, rule.opens)
        tl.store(row + 6, rule.tries_entropy)
        tl.store(row + 7, rule.tries_exit)
        tl.store(row + 8, rule.resumes)
        tl.store(row + 9, num_segments_left)


@triton.jit
def load_rule(row):
    """Return the rule at `row`."""
    return Rule(
        forced=tl.load(row + 1),
        moved=tl.load(row + 2),
        banned=tl.load(row + 3),
        thinking=tl.load(row + _THINKING),
        opens=tl.load(row + 5),
        tries_entropy=tl.load(row + 6),
        tries_exit=tl.load(row + 7),
        resumes=tl.load(row + 8),
    )


@triton.jit
def count_rows(row_offsets, first, num_rows, max_rows: tl.constexpr):
    """Return the number of rows of the request whose first row is `first`."""
    offsets = tl.arange(0, max_rows)
    found = tl.load(row_offsets + first + offsets, mask=first + offsets < num_rows, other=-1)
    # A later request's rows count from 0 again, so they are never in the same place.
    return tl.sum((found == offsets).to(tl.int32), 0)
