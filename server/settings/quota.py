"""How much of the server one caller may use. A record: nothing is counted here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quota:
    """How much may be used a minute and a day; None: no limit.

    `tokens` are those of prompts, thoughts and answers together; `reasoning_tokens` those of
    thoughts alone, which count to both.
    """

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    reasoning_tokens_per_minute: int | None = None
    reasoning_tokens_per_day: int | None = None
