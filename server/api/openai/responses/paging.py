"""Pages of a list of items, in OpenAI's form. Does not know where the items are stored."""

from collections.abc import Mapping, Sequence
from typing import Any

from server.api.openai.responses.items import Item
from server.errors.api import BadRequestError

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


def list_page(items: Sequence[Item], query: Mapping[str, str]) -> dict[str, Any]:
    """Return the page of `items` that `query` requests: newest first, unless `order` is asc.

    Raises:
        BadRequestError: a parameter is invalid.
    """
    limit = _parse_limit(query.get("limit", str(DEFAULT_LIMIT)))
    ordered = list(items) if _is_ascending(query.get("order", "desc")) else list(items)[::-1]
    if (after := query.get("after")) is not None:
        ordered = ordered[_find_place(after, ordered) + 1 :]
    data = [item.to_listed() for item in ordered[:limit]]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(ordered) > limit,
    }


def _parse_limit(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise _invalid_value_error("limit", f"an integer from 1 to {MAX_LIMIT}")


def _is_ascending(text: str) -> bool:
    if text not in ("asc", "desc"):
        raise _invalid_value_error("order", "'asc' or 'desc'")
    return text == "asc"


def _find_place(item_id: str, items: Sequence[Item]) -> int:
    for place, item in enumerate(items):
        if item.id == item_id:
            return place
    raise _invalid_value_error("after", "the id of an item of this list")


def _invalid_value_error(name: str, right: str) -> BadRequestError:
    return BadRequestError(f"{name}: should be {right}", param=name, code="invalid_value")
