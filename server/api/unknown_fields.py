"""Decides what happens to a field that a body's model does not know: refused, or ignored.

A client's next release may add fields, and a server that refuses them is of no use to its users; a
server that ignores a misspelt budget is worse. So fields are refused that speak of thinking, that
are typing errors of known fields, that sample as this server cannot, or that stand in an object
whose whole meaning is ours to carry out. All others are ignored and named to the client. The one
place for all endpoints, at every depth. Does not read bodies.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from server.api.foreign_sampling import FOREIGN_SAMPLING, explain_refusal, is_switched_off
from server.api.typing_errors import find_misspelt
from server.dialects.reading import TREE
from server.dialects.spellings import SPELLINGS, WRONG_NAMES

Location = tuple[str | int, ...]
# What a client sends back of earlier replies; a budget has no place there.
_HISTORY = ("messages", "input", "system")
# Roles whose messages the client writes itself.
_WRITTEN_BY_CLIENT = ("user", "system", "developer")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_LENGTH_WORDS = frozenset({"budget", "budgets", "effort", "efforts"})
_THINKING_WORDS = _LENGTH_WORDS | {
    *("think", "thinking", "thinks", "thought", "thoughts", "reasoning", "reasonings"),
}
# Objects, by their place in a body, whose whole meaning is this server's to carry out.
_CARRIED_OUT = (
    ("thinking_options",),
    ("continue_thinking",),
    ("response_format",),
    ("structured_outputs",),
    ("text", "format"),
    ("output_config", "format"),
    ("thinking",),
    ("reasoning",),
    ("generationConfig",),
)


def find_refusal(
    location: Location, body: Mapping[str, Any], known: Sequence[str]
) -> tuple[str, str | None] | None:
    """Return why the unknown field at `location` is refused, or None where it is ignored.

    Args:
        location: the steps from the body to the field.
        body: the whole body.
        known: names of the fields beside it that exist.

    Returns:
        The kind of refusal ("unknown" or "sampling"), and the field that was probably meant.
    """
    name = str(location[-1])
    in_history = location[0] in _HISTORY and len(location) > 1
    if not in_history and name in FOREIGN_SAMPLING:
        parent = find_parent(body, location)
        is_harmless = parent is not None and is_switched_off(name, parent)
        return None if is_harmless else ("sampling", explain_refusal(name))
    if any(location[: len(place)] == place for place in _CARRIED_OUT):
        return "unknown", find_misspelt(name, known)
    words = split_words(name)
    is_earlier = _is_earlier_output(location, body)
    forbidden = _LENGTH_WORDS if is_earlier else _THINKING_WORDS
    is_misplaced = not in_history and (name in TREE or name in WRONG_NAMES)
    budgets = () if in_history else _BUDGET_NAMES
    misspelt = find_misspelt(name, [*known, *budgets])
    # A field of another kind of object that may stand there, or of an earlier thought.
    if name in known or (is_earlier and words & _THINKING_WORDS):
        misspelt = None
    if words & forbidden or is_misplaced or misspelt:
        return "unknown", misspelt
    if not in_history and (held := _find_held_budget(name, location, body)):
        return "unknown", held
    return None


def _find_held_budget(name: str, location: Location, body: Mapping[str, Any]) -> str | None:
    """Return the budget field in an unknown object, which would be lost with it; or None.

    Metadata is kept for the client and says nothing to the server.
    """
    parent = find_parent(body, location)
    value = None if parent is None else parent[name]
    if not isinstance(value, dict) or "metadata" in name.lower():
        return None
    return next((field for field in value if field in _BUDGET_FIELDS), None)


def split_words(name: str) -> set[str]:
    """Return the words of a name in snake_case, camelCase or kebab-case."""
    return {word.lower() for word in _WORDS.findall(name)}


def find_parent(body: Mapping[str, Any], location: Location) -> dict[str, Any] | None:
    """Return the object in `body` that has the field at `location`."""
    value: Any = body
    for step in location[:-1]:
        is_inside = isinstance(step, int) and isinstance(value, list) and step < len(value)
        if not (is_inside or (isinstance(value, dict) and step in value)):
            return None
        value = value[step]
    return value if isinstance(value, dict) and location[-1] in value else None


def _is_earlier_output(location: Location, body: Mapping[str, Any]) -> bool:
    """Return whether the field is part of what a model or a tool has written earlier."""
    if location[0] not in _HISTORY or len(location) < 3 or not isinstance(location[1], int):
        return False
    turns = body.get(str(location[0]))
    turn = turns[location[1]] if isinstance(turns, list) and location[1] < len(turns) else None
    return isinstance(turn, dict) and turn.get("role") not in _WRITTEN_BY_CLIENT


# Names of fields, of any server, that say how much to think.
_BUDGET_FIELDS = tuple(
    sorted(
        name
        for name in {step for row in SPELLINGS for step in row.path.split(".")} | {*WRONG_NAMES}
        if split_words(name) & _THINKING_WORDS
    )
)
# Those, and the names of the objects that hold some of them.
_BUDGET_NAMES = tuple(dict.fromkeys((*_BUDGET_FIELDS, *TREE, *WRONG_NAMES)))
