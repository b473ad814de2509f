"""Parses key documents, TOML or JSON, into a key ring.

Errors name the document and the entry. They never quote what may be a secret: no value, and
no field name unless it is a plain word.
"""

import difflib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from server.keys.entry import KeyEntry, QuotaEntry, SecretHash
from server.keys.ring import KeyRing
from server.keys.secret import HOW_TO_HASH, MIN_LENGTH

_PLACE = re.compile(r"\(at ([a-z0-9 ,]+)\)$")
_KEYS = "keys"
# Fields in which somebody might write the secret itself.
_SECRET_NAMES = frozenset({"secret", "secrets", "key", "api_key", "token", "value", "password"})
_KNOWN = {name for model in (KeyEntry, QuotaEntry, SecretHash) for name in model.model_fields}


class KeyFileError(ValueError):
    """The configured keys cannot be used. Quotes no secret."""


def read_keys(documents: Mapping[str, str]) -> KeyRing:
    """Return the keys of all `documents`, which map a name for error messages to the text.

    Raises:
        KeyFileError: a document, or one of its entries, is invalid.
    """
    entries = [
        _parse_entry(f"{where}: keys[{place}]", raw)
        for where, text in documents.items()
        for place, raw in enumerate(_list_entries(where, text))
    ]
    _check_unique(", ".join(documents), entries)
    return KeyRing(entries)


def _list_entries(where: str, text: str) -> Sequence[Any]:
    document = _parse_document(where, text)
    for name in document:
        if name != _KEYS:
            raise KeyFileError(f"{where}: {_describe_unknown(name)}: only [[keys]] is allowed here")
    entries = document.get(_KEYS)
    if not isinstance(entries, list):
        # Otherwise a file that was truncated while being written would revoke all keys.
        raise KeyFileError(f"{where}: has no [[keys]]; write 'keys = []' for no keys at all")
    return entries


def _parse_document(where: str, text: str) -> Mapping[str, Any]:
    """Parse JSON if the text begins with a brace, which no TOML document does, else TOML."""
    try:
        if text.lstrip().startswith("{"):
            return dict(json.loads(text))
        return tomllib.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise KeyFileError(f"{where}: is not valid JSON at {place}") from None
    except (ValueError, RecursionError) as error:
        found = _PLACE.search(str(error))  # the rest of the message may quote a value
        place = f" at {found[1]}" if found else ""
        raise KeyFileError(f"{where}: is not valid TOML{place}") from None


def _parse_entry(where: str, raw: Any) -> KeyEntry:
    try:
        return KeyEntry.model_validate(raw)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        fault = min(faults, key=lambda fault: fault["type"] != "extra_forbidden")
        if isinstance(raw, dict) and not any(fault["loc"][:1] == ("id",) for fault in faults):
            where = f"{where} ({raw['id']})"
        raise KeyFileError(
            f"{where}: {_describe_fault(fault['loc'], fault['type'], fault['msg'])}"
        ) from None


def _describe_fault(location: Sequence[int | str], kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return _describe_unknown(str(location[-1]))
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    message = message.removeprefix("Value error, ")
    return f"{path.removeprefix('.') or 'entry'}: {message[:1].lower()}{message[1:]}"


def _describe_unknown(name: str) -> str:
    if name in _SECRET_NAMES:
        return f"{name!r}: store the hash of the secret, not the secret itself: {HOW_TO_HASH}"
    nearest = difflib.get_close_matches(name, _KNOWN, n=1)
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    is_word = len(name) < MIN_LENGTH and name.replace("_", "").isalpha()
    return f"unknown field{f' {name!r}' if is_word else ''}{hint}"


def _check_unique(where: str, entries: Sequence[KeyEntry]) -> None:
    for key_id, number in Counter(entry.id for entry in entries).items():
        if number > 1:
            raise KeyFileError(
                f"{where}: id {key_id!r} appears twice; 'hashes' can hold several hashes"
            )
    owners: dict[str, str] = {}
    for entry in entries:
        for secret in entry.hashes:
            if secret.hash in owners:
                both = f"{owners[secret.hash]!r} and {entry.id!r}"
                raise KeyFileError(f"{where}: a hash appears twice, for {both}")
            owners[secret.hash] = entry.id
