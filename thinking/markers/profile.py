"""Marker profiles: how a model opens and closes a thought.

A profile is data: token ids and the few facts that the sampler needs. It knows neither how it
was found (``thinking.markers.detection``) nor what a request asks for.
"""

from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any


class Opening(Enum):
    """Way in which the thought at the start of a reply is opened."""

    PROMPT = "prompt"  # the chat template ends with the start marker
    FORCED = "forced"  # we force the start marker as the first output tokens


@dataclass(frozen=True, slots=True)
class MarkerProfile:
    """Token ids of a model's markers.

    Invariant: both markers have 1–``MAX_MARKER_TOKENS`` tokens. The two stand-ins differ;
    neither is a stop token, part of a marker or a tool call opener. No tool call opener is a
    stop token or part of a marker.
    """

    name: str
    start_token_ids: tuple[int, ...]
    end_token_ids: tuple[int, ...]
    opening: Opening
    # All ids that end a reply in vLLM (the tokenizer's and the generation config's).
    stop_token_ids: tuple[int, ...]
    # Gets the probability of the stop tokens while a thought runs: when it is sampled, the
    # thought is closed. An id that a thought never needs.
    eos_stand_in_id: int
    # Another such id. Forced to signal that a thought ends early on confidence, or that it
    # begins inside the answer (if the start marker has several tokens).
    exit_stand_in_id: int
    # Forced after the start marker to make a non-reasoning model think.
    primer_token_ids: tuple[int, ...] = ()
    # Forced after the end marker, hidden, to lead a non-reasoning model to its answer.
    lead_in_token_ids: tuple[int, ...] = ()
    # Appended to the prompt where no thought is allowed.
    no_thought_token_ids: tuple[int, ...] = ()
    # Single tokens that open a tool call. If one is sampled inside a thought, it ends the
    # thought and is the first token of the answer.
    tool_call_token_ids: tuple[int, ...] = ()
    # A single pause of a pause thought: the model's own, or a harmless filler.
    pause_token_ids: tuple[int, ...] = ()
    # A whole implicit thought; empty if the model has none.
    implicit_token_ids: tuple[int, ...] = ()
    # True if the model was trained to write these markers.
    native: bool = True

    def __post_init__(self) -> None:
        for field in ("start_token_ids", "end_token_ids"):
            length = len(getattr(self, field))
            if not 1 <= length <= MAX_MARKER_TOKENS:
                raise ValueError(
                    f"{field} has {length} tokens; a marker has 1 to {MAX_MARKER_TOKENS}"
                )
        reserved = {*self.stop_token_ids, *self.start_token_ids, *self.end_token_ids}
        if shared := sorted(reserved.intersection(self.tool_call_token_ids)):
            raise ValueError(f"tool_call_token_ids {shared[0]} is a stop token or part of a marker")
        reserved.update(self.tool_call_token_ids)
        for field in ("eos_stand_in_id", "exit_stand_in_id"):
            token_id = getattr(self, field)
            if token_id in reserved:
                raise ValueError(
                    f"{field} {token_id} stops, opens a tool call or is part of a marker"
                )
            reserved.add(token_id)

    @property
    def signals_with_marker(self) -> bool:
        """True if the start marker alone signals that a thought begins inside the answer.

        A marker of one token does, as no answer contains it otherwise. Several tokens could be
        the answer's own, so that a stand-in is put before them.
        """
        return len(self.start_token_ids) == 1

    @property
    def segment_signal_id(self) -> int:
        """Token forced where a gate opens: the first hidden token of a segment."""
        return self.start_token_ids[0] if self.signals_with_marker else self.exit_stand_in_id

    @property
    def closed_thought_token_ids(self) -> tuple[int, ...]:
        """Tokens that are forced around a thought that we both open and close."""
        start = () if self.opening is Opening.PROMPT else self.start_token_ids
        return (*start, *self.primer_token_ids, *self.end_token_ids, *self.lead_in_token_ids)

    @property
    def inside_text(self) -> "MarkerProfile":
        """Profile with the same markers for use after a text that no template has ended.

        There nothing but ourselves opens a thought.
        """
        return replace(self, opening=Opening.FORCED)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict, for vLLM's ``additional_config``."""
        return asdict(self) | {"opening": self.opening.value}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "MarkerProfile":
        """Build a profile from the result of :meth:`to_dict`; lists become tuples again."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        values["opening"] = Opening(values["opening"])
        return cls(**values)


MAX_MARKER_TOKENS = 32
