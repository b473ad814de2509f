"""Readers for answers that a grammar restricts to tool calls as JSON.

See ``server.reply.tool_constraint`` for the grammars. Arguments are passed on incrementally and
verbatim. Knows no model.
"""

import json
import re
from collections.abc import Callable, Sequence

from server.tools.call import ToolCallDelta
from server.tools.reading import ReadPiece

# As in the grammar: the keys in this order and no others.
_HEAD = re.compile(
    r'(?:\s*\})?\s*[\[,]\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*+")\s*,\s*"parameters"\s*:\s*(?=\{)'
)
_DECODER = json.JSONDecoder(strict=False)


class NamedCallReader:
    """Reads an answer that consists of the arguments of a single call."""

    def __init__(self, name: str, make_call_id: Callable[[], str]) -> None:
        self._name = name
        self._make_call_id = make_call_id
        self._has_begun = False

    def push(self, text: str, token_ids: Sequence[int]) -> ReadPiece:
        """See :class:`~server.tools.reading.ToolCallReader`."""
        if not text:
            return ReadPiece()
        if self._has_begun:
            return ReadPiece(calls=[ToolCallDelta(0, arguments=text)])
        self._has_begun = True
        return ReadPiece(calls=[ToolCallDelta(0, self._make_call_id(), self._name, text)])

    def finish(self, *, is_cut: bool) -> ReadPiece:
        """See :class:`~server.tools.reading.ToolCallReader`."""
        return ReadPiece()


class ListedCallsReader:
    """Reads an answer of the form ``[{"name": …, "parameters": {…}}, …]``."""

    def __init__(self, make_call_id: Callable[[], str]) -> None:
        self._make_call_id = make_call_id
        self._text = ""
        self._num_read = 0
        self._num_calls = 0
        self._arguments_at: int | None = None  # inside a call: where its arguments begin

    def push(self, text: str, token_ids: Sequence[int]) -> ReadPiece:
        """See :class:`~server.tools.reading.ToolCallReader`."""
        self._text += text
        piece = ReadPiece()
        while self._arguments_at is not None or self._begin_call(piece):
            end = self._find_arguments_end()
            if new := self._text[self._num_read : end]:
                piece.calls.append(ToolCallDelta(self._num_calls - 1, arguments=new))
                self._num_read += len(new)
            if end is None:
                break
            self._arguments_at = None
        return piece

    def finish(self, *, is_cut: bool) -> ReadPiece:
        """See :class:`~server.tools.reading.ToolCallReader`."""
        return ReadPiece()

    def _begin_call(self, piece: ReadPiece) -> bool:
        head = _HEAD.match(self._text, self._num_read)
        if head is None:
            return False
        name = json.loads(head[1])
        piece.calls.append(ToolCallDelta(self._num_calls, self._make_call_id(), name))
        self._num_calls += 1
        self._num_read = self._arguments_at = head.end()
        return True

    def _find_arguments_end(self) -> int | None:
        """Return the end of the current arguments, or None if they are incomplete.

        Only a closing brace can end them.
        """
        assert self._arguments_at is not None
        if "}" not in self._text[self._num_read :]:
            return None
        try:
            _, end = _DECODER.raw_decode(self._text, self._arguments_at)
        except (ValueError, RecursionError):
            return None
        return end
