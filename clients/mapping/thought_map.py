"""A map as the server sends it, checked; and the order in which to look at it.

Knows neither HTTP nor pictures.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Position(BaseModel):
    """One token of the text; log-probabilities are natural. `mixed` has a value a weight."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    index: int
    token: str
    bytes: list[int]
    logprob: float
    logprob_with_thought: float
    logprob_mixed: list[float]
    gain: float
    thought_tokens: int
    stop: str
    reasoning: str | None = None


class Summary(BaseModel):
    """What a map has besides its positions."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    object: Literal["thinking.map"]
    id: str
    created: int
    model: str
    thought_tokens: int
    mix: list[float]
    mean_logprob: float
    mean_logprob_with_thought: float
    mean_logprob_mixed: list[float]
    mean_gain: float
    usage: dict[str, JsonValue]


class ThoughtMap(Summary):
    """A whole map, its positions in the text's order, with what was asked."""

    positions: list[Position] = Field(min_length=1)
    request: dict[str, JsonValue]

    @classmethod
    def join(
        cls, summary: Summary, positions: list[Position], request: dict[str, Any]
    ) -> "ThoughtMap":
        """A map from what came over a stream, in any order."""
        ordered = sorted(positions, key=lambda position: position.index)
        return cls(**summary.model_dump(), positions=ordered, request=request)

    def most_gained(self, count: int) -> list[Position]:
        """The `count` positions that gained most, the best first."""
        return sorted(self.positions, key=lambda position: -position.gain)[:count]

    def to_json(self) -> bytes:
        """The file's content."""
        return f"{self.model_dump_json(indent=2, exclude_none=True)}\n".encode()
