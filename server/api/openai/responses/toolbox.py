"""The tools of a request under the names by which the model sees them, and back.

The model knows functions only. A tool of a namespace has the namespace before its name, and a tool
that takes a text is a function of one string. Does not know how the model writes calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from server.api.fields.structured import MAX_GRAMMAR_CHARACTERS, MAX_REGEX_CHARACTERS
from server.api.openai.responses.tools import (
    AnyTool,
    GrammarFormat,
    NamespaceTool,
    OwnTool,
    TextTool,
    iterate_own_tools,
)
from server.api.openai.tools import NO_PARAMETERS
from server.constraint.lark_grammar import LarkError, to_ebnf
from server.tools.text_call import INPUT
from server.tools.tool import InputFormat, Tool

_SEPARATOR = "__"
_LANGUAGES = {"lark": "Lark grammar", "regex": "regular expression"}


@dataclass(frozen=True, slots=True)
class ToolName:
    """Name of a tool as the client knows it. `takes_text`: it is a custom tool."""

    name: str
    namespace: str | None = None
    takes_text: bool = False


class Toolbox:
    """Translates between the names that the client and the model know.

    Invariant: no two tools have the same name for the model.
    """

    def __init__(self, tools: Sequence[AnyTool]) -> None:
        self.tools: list[Tool] = []
        self._own: dict[str, ToolName] = {}
        self._shown: dict[tuple[str | None, str], str] = {}
        self._of_grammars: dict[str, str] = {}  # paths of grammars, by the tool's name
        self._about = _describe_namespaces(tools)
        # Names without a namespace are the client's own and stay as they are.
        own = sorted(iterate_own_tools(tools), key=lambda found: found[1] is not None)
        for path, namespace, tool in own:
            self._add(path, namespace, tool)

    def get_shown_name(self, name: str, namespace: str | None = None) -> str:
        """Return the name by which the model knows a tool, which need not be in this request."""
        if (namespace, name) in self._shown:
            return self._shown[namespace, name]
        if namespace is not None:
            return _qualify(name, namespace)
        return self._find_only(name) or name

    def get_own_name(self, shown: str) -> ToolName:
        """Return the tool that a model's call means; a model may leave out the namespace."""
        if shown not in self._own:
            shown = self._find_only(shown) or shown
        return self._own.get(shown, ToolName(shown))

    def get_namespace_tools(self, namespace: str) -> list[str]:
        """Return the names by which the model knows the tools of a namespace."""
        return [shown for (space, _), shown in self._shown.items() if space == namespace]

    def has(self, name: str, namespace: str | None = None, *, takes_text: bool) -> bool:
        """Return whether the request has such a tool."""
        shown = self.get_shown_name(name, namespace)
        return shown in self._own and self._own[shown].takes_text == takes_text

    def find_unenforced_grammars(self, named: str | None) -> list[str]:
        """Return the paths of all grammars, but for that of a tool that must be called."""
        enforced = {tool.name for tool in self.tools if tool.input_format and tool.name == named}
        return [path for shown, path in self._of_grammars.items() if shown not in enforced]

    def _find_only(self, name: str) -> str | None:
        """Return the shown name of the only tool called `name`, if it is the only one."""
        found = [shown for (_, own), shown in self._shown.items() if own == name]
        return found[0] if len(found) == 1 else None

    def _add(self, path: str, namespace: str | None, tool: OwnTool) -> None:
        wanted = tool.name if namespace is None else _qualify(tool.name, namespace)
        shown, number = wanted, 2
        while shown in self._own:
            shown, number = f"{wanted}_{number}", number + 1
        takes_text = isinstance(tool, TextTool)
        self._own[shown] = ToolName(tool.name, namespace, takes_text)
        self._shown[namespace, tool.name] = shown
        if isinstance(tool, TextTool):
            if isinstance(tool.format, GrammarFormat):
                self._of_grammars[shown] = f"{path}.format"
            made = _to_text_tool(tool, shown)
        else:
            made = Tool(shown, tool.description, tool.parameters or NO_PARAMETERS)
        self.tools.append(self._with_namespace(made, namespace))

    def _with_namespace(self, tool: Tool, namespace: str | None) -> Tool:
        """Return `tool` with the description of its namespace, if it is the first of it."""
        about = self._about.pop(namespace, None) if namespace is not None else None
        if not about:
            return tool
        description = "\n\n".join(filter(None, (tool.description, f"About {namespace}: {about}")))
        return Tool(tool.name, description, tool.parameters, tool.input_format)


def _describe_namespaces(tools: Sequence[AnyTool]) -> dict[str, str | None]:
    return {tool.name: tool.description for tool in tools if isinstance(tool, NamespaceTool)}


def _qualify(name: str, namespace: str) -> str:
    if namespace.endswith(_SEPARATOR):
        return f"{namespace}{name}"
    return f"{namespace}{_SEPARATOR}{name}"


def _to_text_tool(tool: TextTool, shown: str) -> Tool:
    description, grammar = tool.description, None
    if isinstance(tool.format, GrammarFormat):
        language = _LANGUAGES.get(tool.format.syntax, f"{tool.format.syntax} grammar")
        about = f"The input is a text that matches this {language}:\n{tool.format.definition}"
        description = "\n\n".join(filter(None, (description, about)))
        grammar = _to_input_format(tool.format.syntax, tool.format.definition)
    return Tool(shown, description, _TEXT_PARAMETERS, grammar)


@lru_cache(maxsize=64)
def _to_input_format(syntax: str, definition: str) -> InputFormat | None:
    """Return the format in a form that can be enforced; None: there is no such form."""
    if syntax not in _LANGUAGES:
        return None
    limit = MAX_REGEX_CHARACTERS if syntax == "regex" else MAX_GRAMMAR_CHARACTERS
    if len(definition) > limit or "\0" in definition:
        return None
    if syntax == "regex":
        return InputFormat("regex", definition)
    try:
        return InputFormat("ebnf", to_ebnf(definition))
    except LarkError:
        return None


_TEXT_PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "properties": {INPUT: {"type": "string", "description": "The whole input, as plain text."}},
    "required": [INPUT],
    "additionalProperties": False,
}
