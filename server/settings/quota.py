"""Limits on a caller's use of the server. A record; does not count anything."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits per minute and per day; None: no limit.

    `tokens` counts prompts, thoughts and answers together; `reasoning_tokens` counts thoughts
    only. Thought tokens count towards both.
    """

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    reasoning_tokens_per_minute: int | None = None
    reasoning_tokens_per_day: int | None = None
