"""Marker profiles: how one model opens and closes a thought.

A profile is data: token ids and the few facts that the sampler needs. It does not
know how it was found (``thinking.markers.detection``) nor what a request asks for.
"""

from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any


class Opening(Enum):
    """Who opens the thought at the start of a reply."""

    PROMPT = "prompt"  # the chat template ends with the start marker
    FORCED = "forced"  # we force the start marker as the first output tokens


@dataclass(frozen=True, slots=True)
class MarkerProfile:
    """Token ids of a model's markers.

    Invariant: both markers have 1–``MAX_MARKER_TOKENS`` tokens; the stand-ins differ and
    are neither stop tokens nor part of a marker, nor do they open a tool call; what opens
    one is neither a stop token nor part of a marker.
    """

    name: str
    start_token_ids: tuple[int, ...]
    end_token_ids: tuple[int, ...]
    opening: Opening
    # Every id that ends a reply in vLLM (tokenizer's and generation config's).
    stop_token_ids: tuple[int, ...]
    # Takes the probability of the stop tokens while a thought runs: sampling it
    # closes the thought. A special or unused id that a thought never needs.
    eos_stand_in_id: int
    # Forced to say that a thought ends early on confidence, or (where the start marker is
    # several tokens) begins inside the answer; another such id.
    exit_stand_in_id: int
    # Forced after the start marker to get a non-reasoning model to think.
    primer_token_ids: tuple[int, ...] = ()
    # Forced after the end marker, hidden, to lead a non-reasoning model to its answer.
    lead_in_token_ids: tuple[int, ...] = ()
    # Appended to the prompt when nothing may be thought.
    no_thought_token_ids: tuple[int, ...] = ()
    # Single tokens that open a tool call: sampled inside a thought, such a token ends it
    # and is itself the first of the answer.
    tool_call_token_ids: tuple[int, ...] = ()
    # One pause of a thought of pauses: the model's own, or a harmless filler.
    pause_token_ids: tuple[int, ...] = ()
    # All of an implicit thought; empty where the model knows none.
    implicit_token_ids: tuple[int, ...] = ()
    # True where the model itself was trained to write these markers.
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
        """Whether the start marker alone tells that a thought begins inside the answer.

        One token does, as no answer has it otherwise; several could be the answer's own,
        so a stand-in is put before them.
        """
        return len(self.start_token_ids) == 1

    @property
    def segment_signal_id(self) -> int:
        """Forced where a gate opens: the first hidden token of a segment."""
        return self.start_token_ids[0] if self.signals_with_marker else self.exit_stand_in_id

    @property
    def closed_thought_token_ids(self) -> tuple[int, ...]:
        """All that is forced around a thought that we open and close ourselves."""
        start = () if self.opening is Opening.PROMPT else self.start_token_ids
        return (*start, *self.primer_token_ids, *self.end_token_ids, *self.lead_in_token_ids)

    @property
    def inside_text(self) -> "MarkerProfile":
        """The same markers after a text that no template has ended: nobody opens but we."""
        return replace(self, opening=Opening.FORCED)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, for vLLM's ``additional_config``."""
        return asdict(self) | {"opening": self.opening.value}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "MarkerProfile":
        """Inverse of :meth:`to_dict`; lists become tuples again."""
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        values["opening"] = Opening(values["opening"])
        return cls(**values)


MAX_MARKER_TOKENS = 32
