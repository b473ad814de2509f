"""Reader for an answer that is the text for a tool, without JSON around it.

The text becomes the argument `input` of a single call, so that all calls have JSON arguments.
Knows no model.
"""

import json
from collections.abc import Callable, Sequence

from server.tools.call import ToolCallDelta
from server.tools.reading import ReadPiece

INPUT = "input"


class TextCallReader:
    """Reads an answer that consists of the text for the tool `name`."""

    def __init__(self, name: str, make_call_id: Callable[[], str]) -> None:
        self._name = name
        self._make_call_id = make_call_id
        self._has_begun = False

    def push(self, text: str, token_ids: Sequence[int]) -> ReadPiece:
        """See :class:`~server.tools.reading.ToolCallReader`."""
        if not text:
            return ReadPiece()
        escaped = json.dumps(text, ensure_ascii=False)[1:-1]
        if self._has_begun:
            return ReadPiece(calls=[ToolCallDelta(0, arguments=escaped)])
        self._has_begun = True
        arguments = f'{{"{INPUT}": "{escaped}'
        return ReadPiece(calls=[ToolCallDelta(0, self._make_call_id(), self._name, arguments)])

    def finish(self, *, is_cut: bool) -> ReadPiece:
        """See :class:`~server.tools.reading.ToolCallReader`."""
        if not self._has_begun:
            return ReadPiece()
        return ReadPiece(calls=[ToolCallDelta(0, arguments='"}')])
