"""The generated tables of docs/api.md: endpoints and fields, from the app's OpenAPI document.

``python -m tests.docs.api_page`` writes them. Does not know what a field means: the schemas do.
"""

import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from benchmarks.proof.page import replace_block
from server.app import create_app
from server.settings.settings import ServerSettings
from server.state import open_services
from tests.house.sources import ROOT

PAGE = ROOT / "docs" / "api.md"
Schema = Mapping[str, Any]
# Objects whose fields have tables of their own, by the block of the page.
OBJECTS = {
    "thinking_options": "ThinkingOptions",
    "gate": "GateOptions",
    "strategy": "StrategyOptions",
    "sampling": "ThoughtSamplingOptions",
    "loop_guard": "LoopGuardOptions",
    "turn": "TurnOptions",
    "continue_thinking": "ContinueThinking",
}
BODIES = {
    "chat": "ChatCompletionRequest",
    "responses": "ResponsesRequest",
    "messages": "MessagesRequest",
    "completions": "CompletionRequest",
    "map": "MapRequest",
    "control": "ThinkingControlRequest",
}
# As a field's description begins where the field sets a budget, in any dialect.
_SPELLING = "Used by: "
# Fields of every body, of which the page's own text has more.
_ABOVE = {"thinking_options", "min_thinking_tokens"}
_HUGE = 1e9  # a limit of the wire's integers, of which nobody needs to read
_LENGTH = 240  # characters of a description; the whole of it is in /docs


def get_document() -> dict[str, Any]:
    """Return the OpenAPI document of the app."""
    document: dict[str, Any] = create_app(open_services(ServerSettings())).openapi()
    return document


def render_page(page: str, document: Mapping[str, Any]) -> str:
    """Return `page` with all generated tables as they are in `document`."""
    schemas = document["components"]["schemas"]
    page = replace_block(page, "endpoints", _render_endpoints(document))
    for block, name in OBJECTS.items():
        page = replace_block(page, block, _render_table(schemas[name]))
    for block, name in BODIES.items():
        page = replace_block(page, block, _render_body(schemas[name]))
    return page


def _render_endpoints(document: Mapping[str, Any]) -> str:
    rows = ["| endpoint | |", "|---|---|"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            rows.append(f"| `{method.upper()} {path}` | {operation['summary']} |")
    return "\n".join(rows)


def _render_body(schema: Schema) -> str:
    """Return the table of a body's own fields, then what needs no description."""
    fields = {
        name: field
        for name, field in schema["properties"].items()
        if name not in _ABOVE and not _is_spelling(field)
    }
    idle = {name for name, field in fields.items() if _has_no_effect(field)}
    plain = {name for name, field in fields.items() if "description" not in field} - idle
    plain -= set(schema.get("required", ()))
    notes = {"As in the original API": plain, "Accepted with the value that changes nothing": idle}
    listed = [
        f"{note}: " + ", ".join(f"`{name}`" for name in fields if name in names) + "."
        for note, names in notes.items()
        if names
    ]
    return "\n\n".join([_render_table(schema, without=idle | plain | _ABOVE), *listed])


def _render_table(schema: Schema, without: Collection[str] = ()) -> str:
    required = schema.get("required", ())
    rows = ["| field | value | |", "|---|---|---|"]
    for name, field in schema["properties"].items():
        if name in without or _is_spelling(field):
            continue
        needed = " (required)" if name in required else ""
        value = " or ".join(dict.fromkeys(_list_kinds(field)))
        rows.append(f"| `{name}`{needed} | {value} | {_shorten(field.get('description', ''))} |")
    return "\n".join(rows)


def _list_kinds(field: Schema) -> Iterator[str]:
    """Yield what a field may hold, in words."""
    if "anyOf" in field or "oneOf" in field:
        for kind in field.get("anyOf", field.get("oneOf", ())):
            yield from _list_kinds(kind)
    elif "$ref" in field:
        yield "object"
    elif "enum" in field:
        yield ", ".join(f"`{value}`" for value in field["enum"] if value is not None)
    elif "const" in field:
        yield f"`{field['const']}`"
    else:
        kinds = field.get("type", "any")
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            if kind != "null":
                yield kind + _format_range(field)


def _format_range(field: Schema) -> str:
    low, high = field.get("minimum"), field.get("maximum", field.get("exclusiveMaximum"))
    if "exclusiveMinimum" in field:
        return f", above {field['exclusiveMinimum']}"
    if low is None or abs(low) > _HUGE:
        return ""
    return f", from {low}" if high is None or high > _HUGE else f", {low} to {high}"


def _is_spelling(field: Schema) -> bool:
    """Return whether it, or any part of it, sets a budget: docs/dialects.md has those."""
    inner = field.get("properties", {}).values()
    description = str(field.get("description", ""))
    return description.startswith(_SPELLING) or any(_is_spelling(part) for part in inner)


def _has_no_effect(field: Schema) -> bool:
    values = field.get("enum", ())
    return None in values and "description" not in field


def _shorten(text: str) -> str:
    text = " ".join(text.replace("|", "\\|").split())
    return text if len(text) <= _LENGTH else text[:_LENGTH].rpartition(" ")[0] + " …"


if __name__ == "__main__":
    PAGE.write_text(render_page(PAGE.read_text(encoding="utf-8"), get_document()), encoding="utf-8")
    sys.stderr.write(f"wrote {PAGE}\n")
