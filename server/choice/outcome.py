"""The outcome of one choice, for accounts and metrics. A record; knows no tokens and no text."""

from dataclasses import dataclass

from thinking.receipt import Receipt


@dataclass(frozen=True, slots=True)
class ChoiceOutcome:
    """Usage of a choice, finished or cancelled; `receipt.used` counts its hidden tokens.

    `num_cached` are the prompt tokens that no engine request of the choice had to compute.
    Times are moments of the clock that the choice was decoded with (``time.monotonic()``
    outside of tests); None: no such token was generated. `first_token` may be a hidden one.
    """

    receipt: Receipt
    num_answer: int
    started: float
    first_token: float | None
    first_answer_token: float | None
    num_cached: int = 0
