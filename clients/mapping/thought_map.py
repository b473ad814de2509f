"""A map as the server sends it, validated, and its order of importance.

Knows neither HTTP nor pictures.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Position(BaseModel):
    """Token of the text; log-probabilities are natural, those mixed have one per weight."""

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
    """Fields of a map other than its positions."""

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
    """Complete map, with its positions in text order and its request."""

    positions: list[Position] = Field(min_length=1)
    request: dict[str, JsonValue]

    @classmethod
    def join(
        cls, summary: Summary, positions: list[Position], request: dict[str, Any]
    ) -> "ThoughtMap":
        """Return a map from streamed positions in any order."""
        ordered = sorted(positions, key=lambda position: position.index)
        return cls(**summary.model_dump(), positions=ordered, request=request)

    def rank_by_gain(self, count: int) -> list[Position]:
        """Return the `count` positions with the largest gain, the best first."""
        return sorted(self.positions, key=lambda position: -position.gain)[:count]

    def to_json(self) -> bytes:
        """Return the content of the JSON file."""
        return f"{self.model_dump_json(indent=2, exclude_none=True)}\n".encode()
