"""Rules for thoughts that start inside an answer (law 7), as plain data.

A gate opens at an answer position; the thought that then starts is a *segment*. Knows nothing
of tokens, tensors or the wire format; ``thinking.sampler.gating`` applies the rules to a
batch's logits.
"""

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

MAX_GATE_STRINGS = 8
MAX_GATE_STRING_BYTES = 32  # of UTF-8
DEFAULT_SHARE = 0.5


class GateMode(IntEnum):
    """Condition that opens a gate."""

    NEVER = 0  # thoughts only at the start of the reply
    ENTROPY = 1  # the next token is uncertain
    EVERY = 2  # a number of answer tokens have passed since the last thought
    AFTER = 3  # the answer so far ends with one of the given strings


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """Rules by which thoughts inside an answer start and end; all counts are tokens.

    Invariant: ``gap >= 1``: at least one answer token lies between two segments.
    """

    mode: GateMode
    threshold: float = 0.0  # ENTROPY: nats, of the model's distribution before temperature
    interval: int = 1  # EVERY
    strings: tuple[str, ...] = ()  # AFTER
    gap: int = 1  # fewest answer tokens between two thoughts
    max_segments: int = 8
    segment_tokens: int = 64  # longest segment, markers included
    grace_tokens: int = 0
    opening: bool = True  # whether the reply starts with a thought
    share: float = DEFAULT_SHARE  # of the budget, kept from the opening thought for segments
    # Weight of the logits after a segment; the logits before it have weight ``1 - mix``.
    mix: float = 1.0

    def __post_init__(self) -> None:
        if self.gap < 1:
            raise ValueError(f"gap must be at least 1, not {self.gap}")
        if not 0 <= self.share < 1:
            raise ValueError(f"share must be 0 or more and less than 1, not {self.share}")
        if not 0 <= self.mix <= 1:
            raise ValueError(f"mix must be 0 to 1, not {self.mix}")
        if len(self.strings) > MAX_GATE_STRINGS:
            raise ValueError(f"at most {MAX_GATE_STRINGS} strings open a gate")
        for string in self.strings:
            check_gate_string(string)

    @property
    def mixes(self) -> bool:
        """True if the logits from before a segment must be kept."""
        return self.mix < 1

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict that survives msgpack."""
        return asdict(self) | {"mode": int(self.mode), "strings": list(self.strings)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "SegmentRules":
        """Build the rules from the result of :meth:`to_dict`.

        Raises:
            ValueError: the class invariant does not hold.
        """
        mode, strings = GateMode(data["mode"]), tuple(data["strings"])
        return cls(**{**data, "mode": mode, "strings": strings})


def check_gate_string(string: str) -> None:
    """Raise ValueError if `string` cannot be searched for in an answer."""
    size = len(string.encode())
    if not 1 <= size <= MAX_GATE_STRING_BYTES:
        raise ValueError(f"has {size} bytes of UTF-8; 1 to {MAX_GATE_STRING_BYTES} can be found")
    if "\0" in string:
        raise ValueError("holds a NUL character, which no answer has")
