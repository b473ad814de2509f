"""Reads tool calls with vLLM's parsers.

The only module that uses them; importing it takes ten seconds, with vLLM's whole API layer. A
parser gets one token at a time, because parsers have had bugs with several tokens at once.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError
from transformers import PreTrainedTokenizerBase
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.tool_parsers import ToolParser, ToolParserManager
from vllm.tool_parsers.structural_tag_registry import (
    get_model_structural_tag,
    limit_to_single_tool_call,
)
from vllm.tool_parsers.tool_strict_level import ToolStrictLevel

from server.engine.start_errors import EngineConfigError
from server.tools.call import ToolCallDelta, make_call_id
from server.tools.call_form import CallForm, find_openings
from server.tools.families import DEFAULT_PARSER, UNREADABLE, detect_parser
from server.tools.reading import ReadPiece
from server.tools.tool import Tool

logger = logging.getLogger(__name__)


class ToolParsing:
    """Creates readers for one model.

    Raises:
        EngineConfigError: the parser is unknown or does not work with this model's tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, name: str | None) -> None:
        known = [known for known in list_parsers() if known not in UNREADABLE]
        if name is not None and name not in known:
            raise EngineConfigError(f"--tool-call-parser: should be one of {', '.join(known)}")
        self.name = name or detect_parser(tokenizer.chat_template)
        self._tokenizer = tokenizer
        if self.can_read:
            self._check_loads(is_chosen=name is not None)

    @property
    def can_read(self) -> bool:
        """True if calls in the model's own format can be read."""
        return self.name not in UNREADABLE

    def create_reader(self, tools: Sequence[Tool]) -> "ParserReader":
        """Create a reader for an answer that may call `tools`."""
        return self._create_reader(self.name, tools)

    def describe_calls(self, tools: Sequence[Tool], *, parallel: bool) -> CallForm:
        """Return the form of calls of `tools`: that of the model's family, else that of Hermes.

        Hermes' form works with every model, as it cannot be mistaken for JSON.
        """
        form = self._find_form(self.name, tools, parallel=parallel)
        form = form or self._find_form(DEFAULT_PARSER, tools, parallel=parallel)
        assert form is not None  # Hermes has one
        return form

    def _find_form(self, name: str, tools: Sequence[Tool], *, parallel: bool) -> CallForm | None:
        structure = _describe_calls(name, tools, parallel=parallel)
        openings = None if structure is None else find_openings(structure)
        if structure is None or openings is None:
            return None
        return CallForm(structure, openings, lambda: self._create_reader(name, tools))

    def _create_reader(self, name: str, tools: Sequence[Tool]) -> "ParserReader":
        request = _make_request(tools)
        parser_class = ToolParserManager.get_tool_parser(name)
        parser = parser_class(self._tokenizer, request.tools)
        if hasattr(parser, "skip_reasoning_parsing"):
            parser.skip_reasoning_parsing = True  # the parser never gets thoughts
        return ParserReader(parser, request)

    def _check_loads(self, *, is_chosen: bool) -> None:
        try:
            self.create_reader([Tool("check")])
        except Exception as error:  # each parser raises its own; most because a token is missing
            problem = f"{self.name} does not suit this model: {error}"
            if is_chosen:
                raise EngineConfigError(f"--tool-call-parser: {problem}") from error
            logger.warning("tool parser %s; tool calls are read by %s", problem, DEFAULT_PARSER)
            self.name = DEFAULT_PARSER


class ParserReader:
    """A :class:`~server.tools.reading.ToolCallReader` that uses a parser of vLLM."""

    def __init__(self, parser: ToolParser, request: ChatCompletionRequest) -> None:
        self._parser = parser
        self._request = request
        self._text = ""
        self._token_ids: list[int] = []
        self._known: set[int] = set()  # indices of calls
        self._has_failed = False

    def push(self, text: str, token_ids: Sequence[int]) -> ReadPiece:
        """See :class:`~server.tools.reading.ToolCallReader`."""
        before, ids_before = self._text, self._token_ids
        now, ids_now = before + text, [*ids_before, *token_ids]
        if not self._parser.engine_based_streaming:  # engine-based parsers keep their own state
            self._text, self._token_ids = now, ids_now
        return self._call_parser(
            lambda: self._parser.extract_tool_calls_streaming(
                before, now, text, ids_before, ids_now, list(token_ids), self._request
            )
        )

    def finish(self, *, is_cut: bool) -> ReadPiece:
        """See :class:`~server.tools.reading.ToolCallReader`."""
        piece = ReadPiece()
        if hasattr(self._parser, "finish_streaming"):
            piece = self._call_parser(self._parser.finish_streaming)
        elif self._known and not is_cut and (rest := self._get_unsent_arguments()):
            piece.calls.append(ToolCallDelta(max(self._known), arguments=rest))
        return piece

    def _get_unsent_arguments(self) -> str:
        """Return arguments of the last call that the parser has read but not emitted yet."""
        if not (calls := self._parser.prev_tool_call_arr) or "arguments" not in calls[-1]:
            return ""
        return str(self._parser.get_remaining_unstreamed_args())

    def _call_parser(self, read: Any) -> ReadPiece:
        """Return the output of the parser; empty once the parser has failed."""
        if self._has_failed:
            return ReadPiece()
        try:
            delta = read()
        except Exception as error:  # a model may write anything
            # The message is not logged because it could quote the answer.
            logger.warning("a tool parser failed: %s", type(error).__name__)
            self._has_failed = True
            return ReadPiece()
        if delta is None:
            return ReadPiece()
        calls = [self._to_delta(call) for call in delta.tool_calls or ()]
        return ReadPiece(delta.content or "", [call for call in calls if call is not None])

    def _to_delta(self, call: Any) -> ToolCallDelta | None:
        name = call.function.name if call.function else None
        arguments = (call.function.arguments if call.function else None) or ""
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if call.index in self._known:
            return ToolCallDelta(call.index, arguments=arguments) if arguments else None
        if not name:
            return None
        self._known.add(call.index)
        return ToolCallDelta(call.index, call.id or make_call_id(), name, arguments)


def list_parsers() -> list[str]:
    """Return the names of all of vLLM's tool parsers."""
    return [str(name) for name in ToolParserManager.list_registered()]


def _describe_calls(parser: str, tools: Sequence[Tool], *, parallel: bool) -> dict[str, Any] | None:
    """Return the form that `parser` reads, as a format of xgrammar; None: vLLM has none."""
    model = ToolParserManager.get_tool_parser(parser).structural_tag_model
    if model is None:
        return None
    try:
        tag = get_model_structural_tag(
            model,
            _make_request(tools).tools,
            "required",
            reasoning=False,
            strict_level=ToolStrictLevel.PARAMETER,
        )
    except (ValueError, ValidationError):  # a schema that cannot be put in this family's form
        return None
    if tag is None:
        return None
    if not parallel:
        limit_to_single_tool_call(tag)
    structure = _without_free_text(tag.format.model_dump(mode="json"))
    for node in _iterate_schemas(structure):
        # One space at most between tokens of JSON: small models would write them forever.
        node["max_whitespace_cnt"] = 1
    return structure


def _without_free_text(structure: dict[str, Any]) -> dict[str, Any]:
    """Return `structure` without text after a call; calls follow each other on separate lines."""
    if structure["type"] not in ("triggered_tags", "tags_with_separator"):
        return structure
    tags = structure["tags"]
    # Calls that are JSON objects: the parsers disagree about what separates them.
    is_bare = any(str(tag["begin"]).startswith("{") for tag in tags)
    return {
        "type": "tags_with_separator",
        "tags": tags,
        "separator": "\n",
        "at_least_one": True,
        "stop_after_first": structure["stop_after_first"] or is_bare,
    }


def _iterate_schemas(node: Any) -> Iterator[dict[str, Any]]:
    """Yield the formats in `node` that hold the schema of a tool's arguments."""
    if isinstance(node, dict) and node.get("type") == "json_schema":
        yield node
        return  # inside are the client's own schemas
    for inner in node.values() if isinstance(node, dict) else node:
        if isinstance(inner, dict | list):
            yield from _iterate_schemas(inner)


def _make_request(tools: Sequence[Tool]) -> ChatCompletionRequest:
    """Return a request from which the parsers read the tools."""
    return ChatCompletionRequest.model_validate(
        {
            "model": "",
            "messages": [{"role": "user", "content": ""}],
            "tools": [tool.to_dict() for tool in tools],
            "tool_choice": "auto",
        }
    )
