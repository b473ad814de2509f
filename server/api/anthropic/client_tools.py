"""Tools that Anthropic describes and the client runs: ``bash``, ``text_editor``, ``memory``, …

Anthropic's models know these by their type; any other model needs their description and the schema
of their input, which are written here after Anthropic's documentation and SDK. Does not know the
body of a request.
"""

import re
from typing import Any

_INTEGER = {"type": "integer"}
_STRING = {"type": "string"}
_POINT = {"type": "array", "items": _INTEGER, "minItems": 2, "maxItems": 2}
_TYPE = re.compile(r"^(bash|text_editor|memory|computer)_(\d{8})$")

_BASH = {
    "command": {**_STRING, "description": "The command to run."},
    "restart": {"type": "boolean", "description": "True: restart the shell instead."},
}
_FILE_FIELDS: dict[str, Any] = {
    "path": {**_STRING, "description": "Absolute path of the file or directory."},
    "view_range": {
        "type": "array",
        "items": _INTEGER,
        "description": "view: the first and the last line to show; -1: to the end.",
    },
    "file_text": {**_STRING, "description": "create: the text of the file."},
    "old_str": {**_STRING, "description": "str_replace: the text to replace; must occur once."},
    "new_str": {**_STRING, "description": "str_replace: the text that replaces it."},
    "insert_line": {**_INTEGER, "description": "insert: the line after which the text goes."},
    "insert_text": {**_STRING, "description": "insert: the text to insert."},
}
_EDITOR_COMMANDS = ("view", "create", "str_replace", "insert")
_MEMORY_COMMANDS = (*_EDITOR_COMMANDS, "delete", "rename")
_UNDO_UNTIL = "20250124"  # later versions of the editor cannot undo
_ACTIONS = (
    *("key", "type", "mouse_move", "left_click", "left_click_drag", "right_click"),
    *("middle_click", "double_click", "screenshot", "cursor_position"),
)
_LATER_ACTIONS = (
    *("left_mouse_down", "left_mouse_up", "triple_click", "scroll", "hold_key", "wait"),
)
_LATER_SINCE = "20250124"
_COMPUTER_FIELDS: dict[str, Any] = {
    "coordinate": {**_POINT, "description": "x and y in pixels from the top left corner."},
    "start_coordinate": {**_POINT, "description": "left_click_drag: where the drag starts."},
    "text": {
        **_STRING,
        "description": 'type: the text; key, hold_key: the keys, e.g. "ctrl+s".',
    },
    "scroll_direction": {"enum": ["up", "down", "left", "right"]},
    "scroll_amount": {**_INTEGER, "description": "scroll: number of clicks of the wheel."},
    "duration": {"type": "number", "description": "hold_key, wait: seconds."},
}
_REGION = {"type": "array", "items": _INTEGER, "minItems": 4, "maxItems": 4}


def is_client_tool(kind: str) -> bool:
    """Return whether the client runs the tools of this type, e.g. ``bash_20250124``."""
    return _TYPE.match(kind) is not None


def describe_client_tool(
    kind: str, *, size: tuple[int | None, int | None], can_zoom: bool
) -> tuple[str, dict[str, Any]]:
    """Return the description and the schema of the input of a tool of type `kind`.

    `size`: width and height of the screen in pixels, where known. `can_zoom`: the client can take
    a picture of a part of the screen.
    """
    match = _TYPE.match(kind)
    assert match is not None  # see is_client_tool
    family, version = match.groups()
    match family:
        case "bash":
            return "Run a command in a persistent bash shell.", _to_schema(_BASH, ())
        case "text_editor":
            return "View, create and edit text files.", _describe_editor(version)
        case "memory":
            return "Keep notes in files below /memories that later conversations can read.", (
                _to_schema(_describe_memory(), ("command",))
            )
        case _:
            return _describe_screen(size), _describe_computer(version, can_zoom=can_zoom)


def _describe_editor(version: str) -> dict[str, Any]:
    fields = dict(_FILE_FIELDS)
    commands = list(_EDITOR_COMMANDS)
    if version <= _UNDO_UNTIL:
        commands.append("undo_edit")
        # Its clients read the text to insert from `new_str`.
        fields["new_str"] = {**_STRING, "description": "str_replace, insert: the new text."}
        del fields["insert_text"]
    return _to_schema({"command": {"enum": commands}, **fields}, ("command", "path"))


def _describe_memory() -> dict[str, Any]:
    return {
        "command": {"enum": list(_MEMORY_COMMANDS)},
        **_FILE_FIELDS,
        "old_path": {**_STRING, "description": "rename: the present path."},
        "new_path": {**_STRING, "description": "rename: the new path."},
    }


def _describe_screen(size: tuple[int | None, int | None]) -> str:
    width, height = size
    screen = f" The screen has {width} × {height} pixels." if width and height else ""
    return f"Use the computer with mouse, keyboard and screenshots.{screen}"


def _describe_computer(version: str, *, can_zoom: bool) -> dict[str, Any]:
    actions = [*_ACTIONS, *(_LATER_ACTIONS if version >= _LATER_SINCE else ())]
    fields = dict(_COMPUTER_FIELDS)
    if can_zoom:
        actions.append("zoom")
        fields["region"] = {**_REGION, "description": "zoom: x and y of two opposite corners."}
    return _to_schema({"action": {"enum": actions}, **fields}, ("action",))


def _to_schema(fields: dict[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields}
    return {**schema, "required": list(required)} if required else schema
