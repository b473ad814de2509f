"""Decides which tools of a Messages body the model is told of, and how it may use them.

A deferred tool is loaded once the conversation names it; system messages may add and remove tools.
Calls no tools.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from server.api.anthropic.blocks import (
    CompactionBlock,
    ServerToolResultBlock,
    ToolChangeBlock,
    ToolReferenceBlock,
    ToolResultBlock,
)
from server.api.anthropic.protocol import CountTokensRequest
from server.api.anthropic.tools import (
    TOOL_MODES,
    ClientTool,
    ServerTool,
    ToolChoice,
    read_tool,
)
from server.api.anthropic.turns import TurnMessage
from server.api.body import StrictModel
from server.api.foreign_kinds import mark_tool
from server.errors.api import BadRequestError
from server.tools.tool import ToolUse

Note = Callable[[str], None]


def to_tool_use(body: CountTokensRequest, note: Note) -> ToolUse | None:
    """Return how the model may use the tools of `body`; None: there are no tools.

    `note` gets the path of each tool that the model is not told of.

    Raises:
        BadRequestError: two tools have the same name, or the choice names an unknown tool.
    """
    tool_set = _ToolSet(note)
    for place, tool in enumerate(body.tools or ()):
        tool_set.declare(tool, f"tools[{place}]")
    for place, message in enumerate(body.messages):
        tool_set.read(message, f"messages[{place}]")
    choice = body.tool_choice
    named = None if choice is None else choice.name
    tools = tool_set.select(named)
    _check_choice(choice, [tool.name for tool in tools], tool_set.left_out)
    if not tools:
        return None
    made = [tool.to_tool() for tool in tools]
    if choice is None:
        return ToolUse(made)
    parallel = not choice.disable_parallel_tool_use
    return ToolUse(made, TOOL_MODES[choice.type], choice.name, parallel)


class _ToolSet:
    """The tools of a request, as its conversation changes them."""

    def __init__(self, note: Note) -> None:
        self.left_out: set[str] = set()  # names of tools that the model is not told of
        self._note = note
        self._tools: dict[str, ClientTool] = {}
        self._loaded: set[str] = set()
        self._removed: set[str] = set()
        self._loads_all = False

    def declare(self, tool: StrictModel, path: str) -> None:
        """Add a tool of the request."""
        if isinstance(tool, ClientTool) and tool.may_be_called:
            if tool.name in self._tools:
                raise _invalid_value_error(
                    "tools", "Tool names must be unique: each tool should have a different name"
                )
            self._tools[tool.name] = tool
            return
        self._note(mark_tool(path, tool.type) if isinstance(tool, ServerTool) else path)
        self.left_out.add(str(getattr(tool, "name", None)))
        # Nobody searches for the tools here, so those that a search would find are all shown.
        self._loads_all |= isinstance(tool, ServerTool) and tool.searches_tools

    def read(self, message: TurnMessage, path: str) -> None:
        """Load, add and remove the tools that a message names."""
        for place, block in enumerate(message.content):
            where = f"{path}.content[{place}]"
            if isinstance(block, ToolChangeBlock):
                self._change(block.type == "tool_addition", block.tool, where)
            elif isinstance(block, CompactionBlock):
                for change in block.tool_changes or ():
                    tool = change.get("tool")
                    is_addition = change.get("type") == "tool_addition"
                    self._change(is_addition, tool if isinstance(tool, dict) else {}, where)
            for name, at in _iterate_references(block, where):
                if name not in self._tools:
                    self._note(at)
                self._loaded.add(name)

    def _change(self, is_addition: bool, tool: Mapping[str, Any], path: str) -> None:
        match tool:
            case {"type": "tool_definition", "definition": definition} if is_addition:
                self._define(definition, path)
            case {"type": "tool_reference", "name": str(name)} if name in self._tools:
                (self._removed.discard if is_addition else self._removed.add)(name)
                if is_addition:
                    self._loaded.add(name)
            case _:
                self._note(path)

    def _define(self, definition: Any, path: str) -> None:
        try:
            tool = read_tool(definition)
        except (ValidationError, PydanticCustomError):
            raise _invalid_value_error(
                f"{path}.tool.definition", "should be a valid tool"
            ) from None
        if not isinstance(tool, ClientTool) or not tool.may_be_called:
            self._note(path)
            return
        self._tools[tool.name] = tool
        self._loaded.add(tool.name)
        self._removed.discard(tool.name)

    def select(self, chosen: str | None) -> list[ClientTool]:
        """Return the tools that the model is told of; `chosen` is one in any case."""
        there = [tool for name, tool in self._tools.items() if name not in self._removed]
        loads_all = self._loads_all or all(tool.defer_loading for tool in there)
        wanted = {*self._loaded, chosen}
        return [
            tool for tool in there if loads_all or not tool.defer_loading or tool.name in wanted
        ]


def _iterate_references(block: StrictModel, path: str) -> Iterator[tuple[str, str]]:
    """Yield the names of tools that a search has found, each with its path."""
    if isinstance(block, ToolResultBlock):
        for place, part in enumerate(block.content or ()):
            if isinstance(part, ToolReferenceBlock):
                yield part.tool_name, f"{path}.content[{place}]"
    elif isinstance(block, ServerToolResultBlock) and isinstance(block.content, dict):
        found = block.content.get("tool_references")
        for reference in found if isinstance(found, list) else ():
            if isinstance(reference, dict) and isinstance(reference.get("tool_name"), str):
                yield reference["tool_name"], f"{path}.content"


def _check_choice(choice: ToolChoice | None, names: Sequence[str], left_out: set[str]) -> None:
    if choice is None:
        return
    if choice.name is not None and choice.name in left_out and choice.name not in names:
        raise _invalid_value_error(
            "tool_choice.name", "names a tool that this server does not run: send a tool of yours"
        )
    if choice.type in ("any", "tool") and not names:
        raise _invalid_value_error("tool_choice", "there are no tools to choose from")
    if choice.name is not None and choice.name not in names:
        raise _invalid_value_error("tool_choice.name", "should be the name of one of the tools")


def _invalid_value_error(param: str, problem: str) -> BadRequestError:
    return BadRequestError(f"{param}: {problem}", param=param, code="invalid_value")
