"""``thinking_options`` of a body, on every endpoint: the rarer options of a thought.

Checked field by field; what contradicts another is found in ``server.dialects``.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel
from server.dialects.strategies import MAX_BRANCHES, MAX_WIDTH
from thinking.gate import MAX_GATE_STRINGS
from thinking.loop_guard import MAX_PERIOD, LoopGuard

DEFAULT_GUARD = LoopGuard()


class LoopGuardOptions(StrictModel):
    """``thinking_options.loop_guard``: when a thought repeats itself."""

    enabled: bool = True
    max_period: int = Field(DEFAULT_GUARD.max_period, ge=1, le=MAX_PERIOD)
    min_repeats: int = Field(DEFAULT_GUARD.min_repeats, ge=2, le=100)
    min_tokens: int = Field(DEFAULT_GUARD.min_tokens, ge=1, le=10_000)


class GateOptions(StrictModel):
    """``thinking_options.gate``: when a thought starts inside the answer."""

    mode: Literal["off", "entropy", "every", "after"]
    threshold: Annotated[
        float | None,
        Field(ge=0, le=20, description="entropy: opens above so many nats."),
    ] = None
    tokens: Annotated[
        int | None,
        Field(ge=1, le=1_000_000, description="every: opens after so many answer tokens."),
    ] = None
    strings: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            max_length=MAX_GATE_STRINGS,
            description="after: opens where the answer has just ended with one of them.",
        ),
    ] = None
    gap: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Fewest answer tokens between two thoughts. Default 8 for entropy, else 1.",
        ),
    ] = None
    opening: Annotated[
        bool, Field(description="false: the reply does not start with a thought.")
    ] = True


class StrategyOptions(StrictModel):
    """``thinking_options.strategy``: a search over thoughts."""

    name: Literal["best_of", "self_consistency", "reward", "beam", "mcts"]
    n: Annotated[
        int | None,
        Field(ge=2, le=MAX_BRANCHES, description="best_of, self_consistency, reward: replies."),
    ] = None
    answer_tokens: Annotated[
        int | None,
        Field(ge=1, le=100_000, description="The same: of each reply, for its trial answer."),
    ] = None
    extract: Annotated[
        Literal["number", "text", "last_line"] | None,
        Field(description="self_consistency: what of an answer is counted. Default number."),
    ] = None
    width: Annotated[
        int | None, Field(ge=1, le=MAX_WIDTH, description="beam: branches that are kept.")
    ] = None
    expand: Annotated[
        int | None,
        Field(ge=2, le=MAX_WIDTH, description="beam, mcts: steps that are tried after a branch."),
    ] = None
    step_tokens: Annotated[
        int | None, Field(ge=4, le=4096, description="beam, mcts: longest step.")
    ] = None
    score_by: Annotated[
        Literal["reward", "confidence"] | None,
        Field(description="beam, mcts: the server's reward model (default), or the model itself."),
    ] = None
    iterations: Annotated[int | None, Field(ge=1, le=1000, description="mcts: at most.")] = None
    exploration: Annotated[
        float | None, Field(ge=0, le=100, description="mcts: weight of what few visits add.")
    ] = None


class ThinkingOptions(StrictModel):
    """``thinking_options``: the rarer options of a thought."""

    answer_reserve: Annotated[
        int | None, Field(ge=1, description="Tokens kept for the answer.")
    ] = None
    grace: Annotated[
        Any,
        BeforeValidator(lambda value: _check_grace(value)),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "number"}]}),
        Field(
            description="Last tokens (integer) or share (0.0 to 1.0) of the budget in which a "
            "thought ends at a sentence's or line's end. Default 0.1."
        ),
    ] = None
    wrap_up: Annotated[
        str | None,
        Field(max_length=2000, description="Text that ends a cut thought, paid from the budget."),
    ] = None
    continuation: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=2000,
            description="Text that answers an end which comes before min_thinking_tokens. "
            'Default "\\nWait,".',
        ),
    ] = None
    gate: Annotated[
        GateOptions | None, Field(description="When a thought starts inside the answer.")
    ] = None
    max_segments: Annotated[
        int | None, Field(ge=1, le=1000, description="Most thoughts inside the answer. Default 8.")
    ] = None
    segment_tokens: Annotated[
        int | None,
        Field(ge=1, le=1_000_000, description="Longest of them, markers included. Default 64."),
    ] = None
    mix: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="Weight of the logits after such a thought, for the next token; the "
            "rest is that of the logits before it. Default 1.0: no mixing.",
        ),
    ] = None
    loop_guard: Annotated[
        LoopGuardOptions | None,
        BeforeValidator(lambda value: {"enabled": value} if isinstance(value, bool) else value),
        Field(description="false: a thought may repeat itself; an object: when it does."),
    ] = None
    early_exit: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="Probability of the end marker above which a thought ends at a "
            "sentence's or line's end. Off by default.",
        ),
    ] = None
    kind: Annotated[
        Literal["text", "pause", "implicit"] | None,
        Field(
            description="text: the model writes its thought (default). pause: pause tokens as "
            "far as the budget goes. implicit: one token, of a model that was trained so."
        ),
    ] = None
    strategy: Annotated[
        StrategyOptions | None,
        BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value),
        Field(description="A search over thoughts, all under the one budget; a name will do."),
    ] = None


def _check_grace(value: Any) -> Any:
    """An integer counts tokens, a float is a share: ``1`` and ``1.0`` differ."""
    if value is None or (type(value) is int and value >= 0):
        return value
    if type(value) is float and 0 <= value <= 1:
        return value
    raise PydanticCustomError(
        "grace", "should be tokens (an integer >= 0) or a share (0.0 to 1.0) of the budget"
    )
