"""Input items that this server never writes: calls of tools that OpenAI or its clients run.

Clients send them back as part of a conversation that another server began. A call is told to the
model if its result is a text, or comes in an item of its own; everything else is left out. Nothing
in such an item is an error: it is history. Does not know the conversation around an item.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import ConfigDict

from server.api.body import StrictModel

Sent = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToldCall:
    """Call as the model is told of it. `call_ids` are all ids by which an output may name it."""

    call_ids: tuple[str, ...]
    name: str
    arguments: str
    namespace: str | None = None
    output: str | None = None


@dataclass(frozen=True, slots=True)
class ToldOutput:
    """Output of an earlier call, as the model is told of it."""

    call_ids: tuple[str, ...]
    text: str


Told = ToldCall | ToldOutput


def _set_schema(schema: dict[str, Any]) -> None:
    properties = {"type": {"type": "string", "examples": sorted(_READERS)}, "id": {}}
    schema |= {"properties": properties, "required": ["type"], "additionalProperties": True}


class HostedItem(StrictModel):
    """Item of a kind that this server never writes; `as_sent` is the whole of it."""

    model_config = ConfigDict(json_schema_extra=_set_schema)

    type: str
    id: str | None = None
    as_sent: dict[str, Any]

    def to_listed(self) -> dict[str, Any]:
        """Return the item as it was sent, with its id."""
        return {**self.as_sent, "type": self.type, "id": self.id}

    def to_told(self) -> Told | None:
        """Return what the model is told of the item; None: nothing."""
        read = _READERS.get(self.type)
        return None if read is None else read(self.as_sent)


def make_hosted_item(kind: str, value: Mapping[str, Any]) -> HostedItem:
    """Return the item for an object of any type."""
    item_id = value.get("id")
    return HostedItem(
        type=kind, id=item_id if isinstance(item_id, str) else None, as_sent=dict(value)
    )


def _get_call_ids(sent: Sent) -> tuple[str, ...]:
    found = (sent.get("call_id"), sent.get("id"))
    return tuple(value for value in found if isinstance(value, str) and value)


def _read_call(name: str, *fields: str) -> Callable[[Sent], Told | None]:
    """Return a reader of calls of `name`; the first of `fields` that is there has the arguments."""

    def read(sent: Sent) -> Told | None:
        arguments = next((sent[field] for field in fields if sent.get(field) is not None), None)
        call_ids = _get_call_ids(sent)
        if arguments is None or not call_ids:
            return None
        return ToldCall(call_ids, name, _to_json(arguments))

    return read


def _read_output(sent: Sent) -> Told | None:
    output = next((sent[key] for key in ("output", "status") if sent.get(key) is not None), None)
    call_ids = _get_call_ids(sent)
    if output is None or not call_ids:
        return None
    return ToldOutput(call_ids, output if isinstance(output, str) else _to_json(output))


def _read_mcp_call(sent: Sent) -> Told | None:
    output = sent.get("output") if sent.get("output") is not None else sent.get("error")
    name, arguments, server = (sent.get(key) for key in ("name", "arguments", "server_label"))
    if output is None or not isinstance(name, str) or not isinstance(arguments, str):
        return None
    text = output if isinstance(output, str) else _to_json(output)
    namespace = server if isinstance(server, str) else None
    return ToldCall(_get_call_ids(sent) or ("mcp",), name, arguments, namespace, text)


def _read_code_call(sent: Sent) -> Told | None:
    outputs = sent.get("outputs")
    logs = [entry.get("logs") for entry in _get_objects(outputs)]
    texts = [text for text in logs if isinstance(text, str)]
    if not isinstance(sent.get("code"), str) or not texts:
        return None
    arguments = _to_json({"code": sent["code"]})
    call_ids = _get_call_ids(sent) or ("code",)
    return ToldCall(call_ids, "code_interpreter", arguments, output="\n".join(texts))


def _read_file_search(sent: Sent) -> Told | None:
    found = [
        {key: entry[key] for key in ("filename", "text") if key in entry}
        for entry in _get_objects(sent.get("results"))
    ]
    if not found or not isinstance(sent.get("queries"), list):
        return None
    arguments = _to_json({"queries": sent["queries"]})
    call_ids = _get_call_ids(sent) or ("search",)
    return ToldCall(call_ids, "file_search", arguments, output=_to_json(found))


def _get_objects(value: Any) -> Sequence[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


# Kinds that the model is told of; what is not here is left out, as web searches, whose results the
# items do not have.
_READERS: Mapping[str, Callable[[Sent], Told | None]] = MappingProxyType(
    {
        "local_shell_call": _read_call("local_shell", "action"),
        "local_shell_call_output": _read_output,
        "shell_call": _read_call("shell", "action"),
        "shell_call_output": _read_output,
        "apply_patch_call": _read_call("apply_patch", "operation"),
        "apply_patch_call_output": _read_output,
        "mcp_call": _read_mcp_call,
        "code_interpreter_call": _read_code_call,
        "file_search_call": _read_file_search,
    }
)
