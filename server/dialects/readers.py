"""Readers of the dialects' fields: each turns a JSON value into a claim.

A reader returns None if the value requests nothing (null, or a number that means "the server's
default"). For a wrong value it raises ValueError, with the text that follows "should be". Does
not know the paths of the fields.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from server.dialects.claims import ClaimKind, ClaimValue
from thinking.budget import Effort

Reading = tuple[ClaimKind, ClaimValue] | None
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reader:
    """Kind of field: the function that reads it, its JSON schema, and its meaning for the docs."""

    read: Callable[[Any], Reading]
    schema: Json
    meaning: str


def _read_count(value: Any) -> Reading:
    if type(value) is not int or value < -1:
        raise ValueError(
            "an integer: a number of tokens, 0 or more, or -1 for the server's default"
        )
    return None if value == -1 else (ClaimKind.TOKENS, value)


def _read_count_or_share(value: Any) -> Reading:
    if type(value) is float and 0 < value < 1:
        return ClaimKind.SHARE, value
    try:
        return _read_count(value)
    except ValueError:
        text = "tokens (an integer, 0 or more) or a share of the reply (between 0.0 and 1.0)"
        raise ValueError(text) from None


def _read_effort(value: Any) -> Reading:
    if value not in _EFFORTS:
        raise ValueError(f"one of {', '.join(map(repr, _EFFORTS))}")
    return ClaimKind.EFFORT, Effort(value)


def _read_level(value: Any) -> Reading:
    """Read an effort in Gemini's spelling: capitals are allowed; "unspecified" means none given."""
    if value == "THINKING_LEVEL_UNSPECIFIED":
        return None
    return _read_effort(value.lower() if isinstance(value, str) else value)


def _read_switch(value: Any) -> Reading:
    return ClaimKind.SWITCH, _check_boolean(value)


def _read_switch_or_effort(value: Any) -> Reading:
    if isinstance(value, bool):
        return ClaimKind.SWITCH, value
    try:
        return _read_effort(value)
    except ValueError as error:
        raise ValueError(f"true, false or {error}") from None


def _read_show(value: Any) -> Reading:
    return ClaimKind.SHOW, _check_boolean(value)


def _read_hide(value: Any) -> Reading:
    return ClaimKind.SHOW, not _check_boolean(value)


def _read_separate(value: Any) -> Reading:
    if not _check_boolean(value):
        text = "true or left out: a thought is never put in the content"
        raise ValueError(text)
    return ClaimKind.SHOW, True


_PLACES = {"parsed": True, "deepseek": True, "hidden": False}


def _read_place(value: Any) -> Reading:
    """Read where other servers put the thought: beside the content, or nowhere."""
    if value == "auto":
        return None
    if not isinstance(value, str) or value not in _PLACES:
        words = ", ".join(map(repr, ("auto", *_PLACES)))
        raise ValueError(f"one of {words}: a thought is never put in the content")
    return ClaimKind.SHOW, _PLACES[value]


def _read_seconds(value: Any) -> Reading:
    if type(value) not in (int, float) or not 0 < value <= MAX_SECONDS:
        raise ValueError(f"a number of seconds, above 0 and at most {MAX_SECONDS:,}")
    return ClaimKind.SECONDS, value


def _read_text(value: Any) -> Reading:
    if not isinstance(value, str) or len(value) > MAX_WRAP_UP_CHARACTERS:
        raise ValueError(f"a text of at most {MAX_WRAP_UP_CHARACTERS} characters")
    return (ClaimKind.WRAP_UP, value) if value else None


def _read_binding(value: Any) -> Reading:
    behavior = value.get("prefix_mismatch_behavior") if isinstance(value, dict) else value
    is_known = isinstance(value, dict) and set(value) <= {"prefix_mismatch_behavior"}
    if not is_known or behavior not in (None, "error", "drop_block"):
        text = "an object whose prefix_mismatch_behavior is 'error' or 'drop_block'"
        raise ValueError(text)
    return None  # thoughts are not bound to what was before them, so none mismatches


def _check_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _make_word_reader(kind: ClaimKind, values: Mapping[str, bool], meaning: str) -> Reader:
    """Return a reader of words, each of which means true or false."""

    def read(value: Any) -> Reading:
        if not isinstance(value, str) or value not in values:
            raise ValueError(f"one of {', '.join(map(repr, values))}")
        return kind, values[value]

    return Reader(read, {"enum": [*values, None]}, meaning)


MAX_WRAP_UP_CHARACTERS = 2_000
MAX_SECONDS = 1_000_000
_EFFORTS = tuple(effort.value for effort in Effort)
_NULLABLE_BOOLEAN = {"type": ["boolean", "null"]}
_EFFORT_SCHEMA = {"enum": [*_EFFORTS, None]}

COUNT = Reader(
    _read_count, {"type": ["integer", "null"], "minimum": -1}, "maximum number of hidden tokens"
)
COUNT_OR_SHARE = Reader(
    _read_count_or_share,
    {"type": ["number", "null"], "minimum": -1},
    "maximum number of hidden tokens; between 0.0 and 1.0, a share of `max_tokens`",
)
EFFORT = Reader(_read_effort, _EFFORT_SCHEMA, "effort; `none`: no thought")
LEVEL = Reader(_read_level, {"type": ["string", "null"]}, "effort; capitals are allowed")
SWITCH = Reader(_read_switch, _NULLABLE_BOOLEAN, "`false`: no thought")
SWITCH_OR_EFFORT = Reader(
    _read_switch_or_effort,
    {"enum": [True, False, *_EFFORTS, None]},
    "`false`: no thought; or an effort",
)
SHOW = Reader(_read_show, _NULLABLE_BOOLEAN, "whether the thought is shown")
HIDE = Reader(_read_hide, _NULLABLE_BOOLEAN, "`true`: the thought is not shown")
SEPARATE = Reader(
    _read_separate,
    {"enum": [True, None]},
    "`true`: the thought is shown; `false` is refused, as thoughts are never put in the content",
)
PLACE = Reader(
    _read_place,
    {"enum": ["auto", *_PLACES, None]},
    "`parsed` or `deepseek`: the thought is shown; `hidden`: it is not; others are refused, as "
    "thoughts are never put in the content",
)
TEXT = Reader(
    _read_text,
    {"type": ["string", "null"], "maxLength": MAX_WRAP_UP_CHARACTERS},
    "text that ends a cut thought, like `thinking_options.wrap_up`",
)
SECONDS = Reader(
    _read_seconds,
    {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": MAX_SECONDS},
    "time limit of a choice's thoughts, in seconds; then they are closed",
)
TYPE = _make_word_reader(
    ClaimKind.SWITCH,
    # `between_tools` switches thinking off, and shows notes that no other model writes.
    {"enabled": True, "adaptive": True, "disabled": False, "between_tools": False},
    "`disabled`, `between_tools`: no thought",
)
# We have no summaries: a client that requests one is shown the thought itself.
SUMMARY = _make_word_reader(
    ClaimKind.SHOW,
    {"auto": True, "concise": True, "detailed": True},
    "the thought itself is shown; there are no summaries",
)
BINDING = Reader(
    _read_binding,
    {
        "type": ["object", "null"],
        "properties": {"prefix_mismatch_behavior": {"enum": ["error", "drop_block", None]}},
        "additionalProperties": False,
    },
    "no effect: earlier thoughts are not bound to the turns before them",
)
DISPLAY = _make_word_reader(
    ClaimKind.SHOW,
    {"summarized": True, "omitted": False, "updates": False},
    "`summarized`: the thought itself is shown; `omitted`, `updates`: it is not shown",
)
