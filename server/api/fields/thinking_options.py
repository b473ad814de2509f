"""``thinking_options`` of a body, on every endpoint: the less common options of a thought.

Checks each field on its own. Does not check the fields against each other: ``server.dialects``
does.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel
from server.api.fields.sampling_values import MinP, Temperature, TopK, TopP
from server.api.fields.turn import TurnOptions
from server.dialects.strategies import MAX_BRANCHES, MAX_WIDTH
from thinking.gate import MAX_GATE_STRINGS
from thinking.loop_guard import MAX_PERIOD, LoopGuard

DEFAULT_GUARD = LoopGuard()


class LoopGuardOptions(StrictModel):
    """``thinking_options.loop_guard``: when a thought counts as repeating itself."""

    enabled: bool = True
    max_period: int = Field(DEFAULT_GUARD.max_period, ge=1, le=MAX_PERIOD)
    min_repeats: int = Field(DEFAULT_GUARD.min_repeats, ge=2, le=100)
    min_tokens: int = Field(DEFAULT_GUARD.min_tokens, ge=1, le=10_000)


class GateOptions(StrictModel):
    """``thinking_options.gate``: when a thought starts inside the answer."""

    mode: Literal["off", "entropy", "every", "after"]
    threshold: Annotated[
        float | None,
        Field(ge=0, le=20, description="Mode entropy: the gate opens above this many nats."),
    ] = None
    tokens: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Mode every: the gate opens after this many answer tokens.",
        ),
    ] = None
    strings: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            max_length=MAX_GATE_STRINGS,
            description="Mode after: the gate opens when the answer ends with one of them.",
        ),
    ] = None
    gap: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Minimum number of answer tokens between two thoughts. Default: 8 with "
            "mode entropy, else 1.",
        ),
    ] = None
    opening: Annotated[bool, Field(description="Whether the reply also starts with a thought.")] = (
        True
    )
    share: Annotated[
        float | None,
        Field(
            ge=0,
            lt=1,
            description="Share of the budget that the thought at the start of the reply leaves for "
            "those inside the answer. Default 0.5.",
        ),
    ] = None


class ThoughtSamplingOptions(StrictModel):
    """``thinking_options.sampling``: how thoughts are sampled; fields left out: as the answer."""

    temperature: Temperature = None
    top_p: TopP = None
    top_k: TopK = None
    min_p: MinP = None


class StrategyOptions(StrictModel):
    """``thinking_options.strategy``: a search over thoughts."""

    name: Literal["best_of", "self_consistency", "reward", "beam", "mcts"]
    n: Annotated[
        int | None,
        Field(
            ge=2,
            le=MAX_BRANCHES,
            description="best_of, self_consistency, reward: number of replies.",
        ),
    ] = None
    answer_tokens: Annotated[
        int | None,
        Field(
            ge=1,
            le=100_000,
            description="best_of, self_consistency, reward: tokens of each reply's trial answer.",
        ),
    ] = None
    extract: Annotated[
        Literal["number", "text", "last_line"] | None,
        Field(
            description="self_consistency: part of each answer that is counted. Default: number."
        ),
    ] = None
    width: Annotated[
        int | None, Field(ge=1, le=MAX_WIDTH, description="beam: number of branches kept.")
    ] = None
    expand: Annotated[
        int | None,
        Field(ge=2, le=MAX_WIDTH, description="beam, mcts: number of next steps tried per branch."),
    ] = None
    step_tokens: Annotated[
        int | None, Field(ge=4, le=4096, description="beam, mcts: maximum tokens of a step.")
    ] = None
    score_by: Annotated[
        Literal["reward", "confidence"] | None,
        Field(
            description="beam, mcts: score steps by the server's reward model (default) or by the "
            "model's own confidence."
        ),
    ] = None
    iterations: Annotated[
        int | None, Field(ge=1, le=1000, description="mcts: maximum number of iterations.")
    ] = None
    exploration: Annotated[
        float | None, Field(ge=0, le=100, description="mcts: weight of the bonus for few visits.")
    ] = None


class ThinkingOptions(StrictModel):
    """``thinking_options``: the less common options of a thought."""

    answer_reserve: Annotated[
        int | None, Field(ge=1, description="Number of tokens kept for the answer.")
    ] = None
    grace: Annotated[
        Any,
        BeforeValidator(lambda value: _check_grace(value)),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "number"}]}),
        Field(
            description="Last part of the budget, in tokens (integer) or as a share (0.0 to 1.0), "
            "in which a thought ends at the next end of a sentence or line. Default: 0.1."
        ),
    ] = None
    wrap_up: Annotated[
        str | None,
        Field(
            max_length=2000,
            description="Text that ends a cut thought. Its tokens count towards the budget.",
        ),
    ] = None
    continuation: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=2000,
            description="Text that replaces an end of the thought before min_thinking_tokens. "
            'Default: "\\nWait,".',
        ),
    ] = None
    gate: Annotated[
        GateOptions | None, Field(description="When a thought starts inside the answer.")
    ] = None
    max_segments: Annotated[
        int | None,
        Field(ge=1, le=1000, description="Maximum number of thoughts in the answer. Default: 8."),
    ] = None
    segment_tokens: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Maximum tokens of each such thought, markers included. Default: 64.",
        ),
    ] = None
    mix: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="Weight of the logits after such a thought in the choice of the next "
            "token; the logits before the thought get the rest. Default: 1.0, no mixing.",
        ),
    ] = None
    loop_guard: Annotated[
        LoopGuardOptions | None,
        BeforeValidator(lambda value: {"enabled": value} if isinstance(value, bool) else value),
        Field(description="false: thoughts may repeat themselves. An object tunes the detection."),
    ] = None
    early_exit: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Probability of the end marker above which a thought ends at the end of a "
            "sentence or line. Off by default.",
        ),
    ] = None
    sampling: Annotated[
        ThoughtSamplingOptions | None,
        Field(
            description="How thoughts are sampled. A field that is left out or null is the "
            "answer's: the body's own field of this name, or the model's default."
        ),
    ] = None
    kind: Annotated[
        Literal["text", "pause", "implicit"] | None,
        Field(
            description="text (default): the model writes its thought. pause: pause tokens, up to "
            "the budget. implicit: a single token, for models trained for it."
        ),
    ] = None
    strategy: Annotated[
        StrategyOptions | None,
        BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value),
        Field(description="Search over thoughts, within one budget: an object, or just a name."),
    ] = None
    turn: Annotated[
        TurnOptions | None,
        Field(description="Budget that this request shares with others (docs/turns.md)."),
    ] = None


def _check_grace(value: Any) -> Any:
    """Check a grace: an integer counts tokens, a float is a share, so ``1`` and ``1.0`` differ."""
    if value is None or (type(value) is int and value >= 0):
        return value
    if type(value) is float and 0 <= value <= 1:
        return value
    raise PydanticCustomError(
        "grace", "should be tokens (an integer >= 0) or a share (0.0 to 1.0) of the budget"
    )
