"""Items as JSON objects for the store, and back. Unlike listed items, they hold hidden thoughts."""

from collections.abc import Iterable
from typing import Any

from server.api.openai.responses.hosted_items import HostedItem, make_hosted_item
from server.api.openai.responses.items import Item, read_item
from server.api.openai.responses.reasoning_items import StoredReasoningItem
from server.stored_responses.stored import Json

# Neither name is one of a field of an item.
_THOUGHT, _HOSTED = "stored_thought", "stored_as_sent"


def to_record(item: Item) -> dict[str, Any]:
    """Return `item` with all that it holds."""
    if isinstance(item, HostedItem):
        return {"type": item.type, "id": item.id, _HOSTED: item.as_sent}
    # Its warnings are about unions of parts, which it writes all the same.
    record = item.model_dump(mode="json", by_alias=True, exclude_none=True, warnings=False)
    if isinstance(item, StoredReasoningItem):
        record[_THOUGHT] = item.thought
    return record


def read_record(record: Json) -> Item:
    """Return the item that :func:`to_record` has written."""
    if (sent := record.get(_HOSTED)) is not None:
        hosted = make_hosted_item(record["type"], sent)
        return hosted.model_copy(update={"id": record["id"]})
    fields = dict(record)
    thought = fields.pop(_THOUGHT, None)
    if thought is None:
        return read_item(fields)
    return StoredReasoningItem(**fields, thought=thought)


def to_records(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Return all `items`."""
    return [to_record(item) for item in items]


def read_records(records: Iterable[Json]) -> list[Item]:
    """Return all items of `records`."""
    return [read_record(record) for record in records]
