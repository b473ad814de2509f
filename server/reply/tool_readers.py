"""Selects the reader of tool calls: of JSON if a grammar enforces it, else of the model's format.

Knows the engine's protocol, but no wire format.
"""

from server.engine.protocol import Engine
from server.errors.api import BadRequestError
from server.tools.call import make_call_id, make_short_call_id
from server.tools.families import detect_parser
from server.tools.json_calls import ListedCallsReader, NamedCallReader
from server.tools.reading import AnswerReader, ReaderFactory, ToolCallReader
from server.tools.text_call import TextCallReader
from server.tools.tool import ToolMode, ToolUse


def create_reader_factory(engine: Engine, use: ToolUse | None) -> ReaderFactory | None:
    """Return a factory that creates a reader for each choice; None: no answer calls a tool.

    Raises:
        BadRequestError: calls in this model's own format cannot be read.
    """
    if use is None or use.mode is ToolMode.NONE or not use.tools:
        return None
    if use.mode is ToolMode.AUTO and not engine.reads_tool_calls:
        raise BadRequestError(
            f"{use.field}: should be none, required or one function: this server cannot read this "
            "model's own format of tool calls",
            param=use.field,
            code="invalid_value",
        )
    return lambda: AnswerReader(
        _create_reader(engine, use), parallel=use.parallel, allowed=use.allowed
    )


def _create_reader(engine: Engine, use: ToolUse) -> ToolCallReader:
    is_mistral = detect_parser(engine.tokenizer.chat_template) == "mistral"
    new_id = make_short_call_id if is_mistral else make_call_id
    if use.mode is ToolMode.NAMED:
        named = next(tool for tool in use.tools if tool.name == use.name)
        if named.input_format is not None:
            return TextCallReader(named.name, new_id)
        return NamedCallReader(named.name, new_id)
    if use.mode is ToolMode.REQUIRED:
        return ListedCallsReader(new_id)
    return engine.create_tool_call_reader(use.tools)
