"""Phases of a generated choice, and kinds of its tokens.

Knows nothing of tensors, tokenizers or vLLM: the vectorised automaton stores a
``Phase`` as an int32, the tracker as the enum member.
"""

from enum import Enum, IntEnum


class Phase(IntEnum):
    """State of a choice before its next token is sampled."""

    ANSWER = 0  # free sampling of tokens that the client sees
    OPENING = 1  # the start marker and the primer are being forced
    THINKING = 2  # free sampling of hidden tokens
    CLOSING = 3  # wrap-up, end marker and lead-in are being forced
    CONTINUING = 4  # the continuation is being forced: the thought would have ended too soon
    # The caller's words are being read. They are in the prompt of the request that continues the
    # reply, so no worker is ever in this phase.
    ADDING = 5


class TokenKind(Enum):
    """Role of a generated token, for the client and for the receipt."""

    ANSWER = "answer"  # counted in completion_tokens only, shown
    THOUGHT = "thought"  # sampled by the model inside a thought
    INJECTED = "injected"  # not the model's, part of the thought's text (primer, caller's words)
    MARKER = "marker"  # marker or lead-in: hidden even where the thought is shown
    SIGNAL = "signal"  # a stand-in that tells how the thought ended; hidden as well


class StopCause(Enum):
    """Reason why the last thought of a choice ended (``receipt.stop``)."""

    NATURAL = "natural"  # the model wrote the end marker
    BUDGET = "budget"  # the budget ran out
    GRACE = "grace"  # a sentence or line ended within the last `grace` tokens
    LOOP = "loop"  # the thought repeated itself
    CONFIDENT = "confident"  # early exit: the end marker had become probable
    TIME = "time"  # its time limit was reached
    CALLER = "caller"  # its caller ended it
    EOS = "eos"  # the model wanted to end the whole reply inside the thought
    MAX_TOKENS = "max_tokens"  # the reply was cut inside the thought
    CANCELLED = "cancelled"  # the client disconnected inside the thought
    NONE = "none"  # there was no thought
