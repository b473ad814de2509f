"""Types of tools, items and blocks that other servers' APIs have and this one does not use.

They are left out and named to the client. A type that is not here is unknown, which an operator may
have refused (``--unknown-fields refuse``). Sources: the types of OpenAI's and Anthropic's SDKs, and
Codex. Does not know which of them a model is told of in other words.
"""

import re

_TOOLS = re.compile(
    r"^(?:"
    r"apply_patch|code_interpreter|computer|computer_use_preview|custom|file_search"
    r"|image_generation|local_shell|mcp|programmatic_tool_calling|shell|tool_search"
    r"|web_search(?:_preview)?(?:_\d{4}_\d\d_\d\d)?"
    r"|mcp_toolset|tool_search_tool_(?:bm25|regex)"
    r"|(?:advisor|browser_toolset|code_execution|computer_toolset|tool_search_tool_bm25"
    r"|tool_search_tool_regex|web_fetch|web_search)_\d{8}"
    r")$"
)
_ITEMS = frozenset(
    {
        *("additional_tools", "apply_patch_call", "apply_patch_call_output"),
        *("code_interpreter_call", "compaction", "computer_call", "computer_call_output"),
        *("file_search_call", "ghost_snapshot", "image_generation_call", "local_shell_call"),
        *("local_shell_call_output", "mcp_approval_request", "mcp_approval_response", "mcp_call"),
        *("mcp_list_tools", "program", "program_output", "reasoning", "shell_call"),
        *("shell_call_output", "tool_search_call", "tool_search_output", "web_search_call"),
    }
)
# Parts and blocks of earlier replies.
_PARTS = frozenset(
    {
        *("audio", "container_upload", "fallback", "function_call", "reasoning", "reasoning_text"),
        *("reasoning_content", "redacted_thinking", "summary_text", "thinking", "tool_call"),
        *("tool_result", "tool_use"),
    }
)


class UnknownKind(str):
    """Path of an object whose type is in no API that this server knows."""

    __slots__ = ()


def mark_tool(path: str, kind: str) -> str:
    """Return the path of a tool, marked if its type is unknown."""
    return path if _TOOLS.match(kind) else UnknownKind(path)


def mark_item(path: str, kind: str) -> str:
    """Return the path of an item, marked if its type is unknown."""
    return path if kind in _ITEMS else UnknownKind(path)


def mark_part(path: str, kind: str) -> str:
    """Return the path of a part or block of an earlier reply, marked if its type is unknown."""
    return path if kind in _PARTS else UnknownKind(path)


def put_below(parent: str, path: str) -> str:
    """Return `path` inside `parent`, marked as before."""
    return type(path)(f"{parent}.{path}")
