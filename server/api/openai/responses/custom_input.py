"""Reads the text for a custom tool out of the arguments that a model writes for it.

The model is asked for one string, `input`, but where no grammar forces it, it may write anything:
what it wrote is then the input. Knows no items.
"""

import json
import re
from typing import Any

from server.tools.text_call import INPUT

_BEGINNING = re.compile(rf'\s*\{{\s*"{INPUT}"\s*:\s*"')
# What a JSON string is made of. Halves of surrogate pairs only count together.
_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_SINGLE = r"\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}"
# No possessive repetition: that of Python 3.11.2 (Debian 12) ends in the middle of a unit.
_UNITS = re.compile(rf'(?:[^"\\]|\\["\\/bfnrt]|{_PAIR}|{_SINGLE})*')
_BEGUN_UNIT = re.compile(r"\\(?:u[0-9a-fA-F\\u]{0,9})?")
_ENDING = re.compile(r'"\s*\}?\s*$')


class InputReader:
    """Reads one input. What :meth:`push` and :meth:`finish` return is, joined, the whole of it."""

    def __init__(self) -> None:
        self._arguments = ""
        self._sent: list[str] = []
        self._place: int | None = None  # in the arguments: where the unread part of the input is

    def push(self, arguments: str) -> str:
        """Read a piece of the arguments, and return what it adds to the input."""
        self._arguments += arguments
        if self._place is None:
            begun = _BEGINNING.match(self._arguments)
            if begun is None:
                return ""
            self._place = begun.end()
        units = _UNITS.match(self._arguments, self._place)
        assert units is not None  # it matches the empty text, too
        self._place = units.end()
        return self._send(_decode(units[0]))

    def finish(self) -> str:
        """Return the rest of the input: of a cut or malformed string, what can be read."""
        sent = "".join(self._sent)
        try:
            value = json.loads(self._arguments, strict=False)
        except (ValueError, RecursionError):
            return self._send(self._arguments if self._place is None else self._read_malformed())
        whole = _find_text(value)
        whole = self._arguments if whole is None else _without_surrogates(whole)
        return self._send(whole.removeprefix(sent)) if whole.startswith(sent) else ""

    def _send(self, text: str) -> str:
        self._sent.append(text)
        return text

    def _read_malformed(self) -> str:
        """Return the unread part as the model wrote it, without the end of the arguments."""
        rest = self._arguments[self._place :]
        if _BEGUN_UNIT.fullmatch(rest):
            return ""
        return _ENDING.sub("", rest)


def _decode(units: str) -> str:
    return str(json.loads(f'"{units}"', strict=False))


def _find_text(value: Any) -> str | None:
    """Return the input in the arguments, else their only text."""
    if isinstance(value, dict):
        texts = [value[INPUT]] if INPUT in value else list(value.values())
    else:
        texts = [value]
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) else None


def _without_surrogates(text: str) -> str:
    """Return `text` with halves of pairs, which JSON may have and UTF-8 not, replaced."""
    return text.encode("utf-8", "replace").decode()
