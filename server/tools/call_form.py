"""The form in which a model writes calls: as a grammar, and as a reader of what it wrote.

For an answer that is either calls or JSON of the client's schema. Knows no wire format and no
engine; the grammar is data that an engine compiles.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.tools.reading import ReadPiece, ToolCallReader

# Characters that JSON may begin with. An opening that begins otherwise is told from it at once.
_JSON_STARTS = '"{[-0123456789tfn'
# A family's calls that are JSON themselves. JSON that begins so, with the name of a tool and then
# its arguments, is a call.
_BARE_CALL = '{"name": "'


@dataclass(frozen=True, slots=True)
class CallForm:
    """A form of one or more calls.

    `structure` is a format of xgrammar's structural tags that matches calls and nothing else.
    Each text that it matches begins with one of `openings`. JSON of a client's schema does not: an
    opening is either no JSON, or JSON with the name of a tool.
    """

    structure: Mapping[str, Any]
    openings: Sequence[str]
    create_reader: Callable[[], ToolCallReader]


def find_openings(structure: Mapping[str, Any]) -> list[str] | None:
    """Return the openings of `structure`, see :class:`CallForm`; None if it has none."""
    openings = _find_beginnings(structure)
    if not openings or not all(_differs_from_json(text) for text in openings):
        return None
    return list(dict.fromkeys(openings))


def _differs_from_json(text: str) -> bool:
    return text != "" and (text[0] not in _JSON_STARTS or text.startswith(_BARE_CALL))


def _find_beginnings(structure: Mapping[str, Any]) -> list[str]:
    """Return the literal texts that `structure` may begin with; one is "" if it is not literal."""
    match structure["type"]:
        case "const_string":
            return [str(structure["value"])]
        case "tag" if isinstance(structure["begin"], str):
            return [structure["begin"]]
        case "tags_with_separator":
            return [text for tag in structure["tags"] for text in _find_beginnings(tag)]
        case "or":
            return [text for inner in structure["elements"] for text in _find_beginnings(inner)]
        case "sequence":
            return _find_beginnings(structure["elements"][0])
        case _:
            return [""]


class CallOrTextReader:
    """Reads an answer that is either calls or text, which its beginning tells.

    Until then nothing is passed on. Text passes unread, so no text is mistaken for a call. Of a
    call that is cut before its name is complete, nothing is passed on.
    """

    def __init__(self, form: CallForm) -> None:
        self._form = form
        self._held: list[tuple[str, Sequence[int]]] = []
        self._text = ""
        self._is_text = False
        self._reader: ToolCallReader | None = None

    def push(self, text: str, token_ids: Sequence[int]) -> ReadPiece:
        """See :class:`~server.tools.reading.ToolCallReader`."""
        if self._is_text:
            return ReadPiece(text)
        if self._reader is not None:
            return _take_calls(self._reader.push(text, token_ids))
        self._held.append((text, token_ids))
        self._text += text
        if self._text.startswith(tuple(self._form.openings)):
            return self._begin_calls()
        if not any(opening.startswith(self._text) for opening in self._form.openings):
            self._is_text = True
            return ReadPiece(self._text)
        return ReadPiece()

    def finish(self, *, is_cut: bool) -> ReadPiece:
        """See :class:`~server.tools.reading.ToolCallReader`."""
        if self._reader is None:
            return ReadPiece()
        return _take_calls(self._reader.finish(is_cut=is_cut))

    def _begin_calls(self) -> ReadPiece:
        self._reader = self._form.create_reader()
        piece = ReadPiece()
        for text, token_ids in self._held:
            piece.add(_take_calls(self._reader.push(text, token_ids)))
        self._held.clear()
        return piece


def _take_calls(piece: ReadPiece) -> ReadPiece:
    """Return `piece` without the text around calls: of an answer that calls, nothing is content."""
    return ReadPiece(calls=piece.calls)
