"""Converts a body's fields about thoughts inside the answer to the sampler's rules.

Checks the fields against each other: a field that the gate does not use would be ignored, so
it is rejected. Knows nothing of models or of what fits a budget.
"""

from typing import Protocol

from server.errors.api import BadRequestError
from thinking.gate import GateMode, SegmentRules, check_gate_string

GATE = "thinking_options.gate"
DEFAULT_GAPS = {"entropy": 8, "every": 1, "after": 1}
# Field that each mode requires.
_OWN_FIELDS = {"entropy": "threshold", "every": "tokens", "after": "strings"}


class NativeGate(Protocol):
    """``thinking_options.gate``."""

    @property
    def mode(self) -> str:
        """Mode of the gate: off, entropy, every or after."""

    @property
    def threshold(self) -> float | None:
        """Entropy above which the gate opens, in nats (mode entropy)."""

    @property
    def tokens(self) -> int | None:
        """Number of answer tokens between two thoughts (mode every)."""

    @property
    def strings(self) -> list[str] | None:
        """Strings after which a thought starts (mode after)."""

    @property
    def gap(self) -> int | None:
        """Smallest number of answer tokens between two thoughts."""

    @property
    def opening(self) -> bool:
        """True if the reply also starts with a thought."""

    @property
    def share(self) -> float | None:
        """Share of the budget that the opening thought leaves for segments."""


class NativeSegments(Protocol):
    """Options of a body that are about thoughts inside the answer."""

    @property
    def gate(self) -> NativeGate | None:
        """Gate that starts the thoughts."""

    @property
    def max_segments(self) -> int | None:
        """Maximum number of such thoughts."""

    @property
    def segment_tokens(self) -> int | None:
        """Length of the longest such thought, in tokens."""

    @property
    def mix(self) -> float | None:
        """Weight of the logits after a segment, from 0 to 1."""


def to_segment_rules(options: NativeSegments) -> SegmentRules | None:
    """Return the rules that `options` request; None: no thoughts inside the answer.

    Raises:
        BadRequestError: a field is missing, or belongs to another mode.
    """
    gate = options.gate
    if gate is None or gate.mode == "off":
        _check_needs_no_gate(options)
        return None
    _check_own_field(gate)
    _check_strings(gate)
    _check_share(gate)
    defaults = SegmentRules(GateMode.NEVER)
    return SegmentRules(
        mode=GateMode[gate.mode.upper()],
        threshold=gate.threshold or 0.0,
        interval=gate.tokens or 1,
        strings=tuple(gate.strings or ()),
        gap=gate.gap or DEFAULT_GAPS[gate.mode],
        max_segments=options.max_segments or defaults.max_segments,
        segment_tokens=options.segment_tokens or defaults.segment_tokens,
        opening=gate.opening,
        share=defaults.share if gate.share is None else gate.share,
        mix=defaults.mix if options.mix is None else options.mix,
    )


def _check_needs_no_gate(options: NativeSegments) -> None:
    for name in ("max_segments", "segment_tokens", "mix"):
        if getattr(options, name) is not None:
            raise BadRequestError(
                f"thinking_options.{name} is about thoughts inside the answer: it needs "
                f"{GATE} with the mode entropy, every or after",
                param=f"thinking_options.{name}",
                code="contradictory_fields",
            )


def _check_own_field(gate: NativeGate) -> None:
    own = _OWN_FIELDS[gate.mode]
    if getattr(gate, own) is None:
        raise BadRequestError(
            f"{GATE}.{own} is required with the mode {gate.mode!r}",
            param=f"{GATE}.{own}",
            code="missing_field",
        )
    for mode, name in _OWN_FIELDS.items():
        if name != own and getattr(gate, name) is not None:
            raise BadRequestError(
                f"{GATE}.{name} belongs to the mode {mode!r}, not to {gate.mode!r}",
                param=f"{GATE}.{name}",
                code="contradictory_fields",
            )


def _check_strings(gate: NativeGate) -> None:
    for index, string in enumerate(gate.strings or ()):
        try:
            check_gate_string(string)
        except ValueError as error:
            path = f"{GATE}.strings[{index}]"
            raise BadRequestError(f"{path} {error}", param=path, code="invalid_value") from None


def _check_share(gate: NativeGate) -> None:
    if gate.share is not None and not gate.opening:
        raise BadRequestError(
            f"{GATE}.share is what the opening thought leaves of the budget; with "
            f"{GATE}.opening false there is none: leave one of the two out",
            param=f"{GATE}.share",
            code="contradictory_fields",
        )
