"""A stored response and its form in bytes. Does not know what the items of a response are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

Json = Mapping[str, Any]
# Status of a response that is not finished; all others are final.
UNFINISHED = ("queued", "in_progress")


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A stored response. `response` is the object on the wire; items are JSON objects.

    `input` is the input of this request; `context` is what a follow-up request continues from:
    the earlier items, the input and the output. Items may hold thoughts that are not for the
    client.
    """

    response: Json
    input: Sequence[Json]
    context: Sequence[Json]

    @property
    def response_id(self) -> str:
        """The response's id."""
        return str(self.response["id"])

    @property
    def status(self) -> str:
        """The response's status."""
        return str(self.response["status"])

    @property
    def is_finished(self) -> bool:
        """True if nothing changes any more."""
        return self.status not in UNFINISHED

    @property
    def is_background(self) -> bool:
        """True if the response was created in the background."""
        return bool(self.response.get("background"))

    def with_response(self, response: Json) -> "StoredResponse":
        """Return the same input and context with another state of the response."""
        return StoredResponse(response, self.input, self.context)

    def to_bytes(self) -> bytes:
        """Return the whole as JSON."""
        return to_json({"response": self.response, "input": self.input, "context": self.context})

    @classmethod
    def from_bytes(cls, body: bytes) -> "StoredResponse":
        """Return the response that :meth:`to_bytes` has written."""
        return cls(**from_json(body))
