"""A client's view of a stream: the order that it may rely on, and the output that it builds.

Written from OpenAI's types, not from our writer: it builds the output from the small events, and
checks the large events against it.
"""

from typing import Any

Json = dict[str, Any]
# The kind of text that a part of each type holds.
PARTS = {
    "output_text": "output_text",
    "reasoning_text": "reasoning_text",
    "summary_text": "reasoning_summary_text",
}
ENDINGS = ("response.completed", "response.incomplete", "response.failed")


class Folding:
    """Builds the output from the events of items; fails if an event is out of order."""

    def __init__(self) -> None:
        self.open: dict[int, Json] = {}
        self.done: dict[int, Json] = {}
        # By (output index, kind of text): the text so far.
        self.texts: dict[tuple[int, str], str] = {}
        self.finished: dict[tuple[int, str], str] = {}
        self.logprobs: dict[int, list[Any]] = {}
        # Parts that are open, by (output index, kind of their text).
        self.parts: set[tuple[int, str]] = set()

    @property
    def output(self) -> list[Json]:
        assert not self.open
        assert sorted(self.done) == list(range(len(self.done)))
        return [self.done[index] for index in sorted(self.done)]

    def take(self, event: Json) -> None:
        index = event["output_index"]
        match event["type"].removeprefix("response.").split("."):
            case ["output_item", "added"]:
                assert index == len(self.open) + len(self.done)
                assert event["item"]["status"] == "in_progress"
                self.open[index] = event["item"]
            case ["output_item", "done"]:
                self._finish(index, event["item"])
            case ["content_part" | "reasoning_summary_part" as kind, "added"]:
                assert event["part"]["text"] == ""
                self._begin(event, kind)
            case ["content_part" | "reasoning_summary_part" as kind, "done"]:
                text = PARTS[event["part"]["type"]]
                assert event["part"]["text"] == self.finished[index, text]
                self.parts.remove((index, text))
                assert self._is_of_open_item(event)
            case [kind, "delta"]:
                assert self._is_of_open_item(event)
                assert (index, kind) not in self.finished
                self.texts[index, kind] = self.texts.get((index, kind), "") + event["delta"]
                self.logprobs.setdefault(index, []).extend(event.get("logprobs", ()))
            case [kind, "done"]:
                assert self._is_of_open_item(event)
                (text,) = (event[name] for name in ("text", "arguments", "input") if name in event)
                assert text == self.texts.setdefault((index, kind), "")
                self.finished[index, kind] = text
            case _:
                raise AssertionError(event["type"])

    def _begin(self, event: Json, kind: str) -> None:
        assert self._is_of_open_item(event)
        text = PARTS[event["part"]["type"]]
        assert (kind == "content_part") == (text != "reasoning_summary_text")
        assert (event["output_index"], text) not in self.texts
        self.texts[event["output_index"], text] = ""
        self.parts.add((event["output_index"], text))

    def _is_of_open_item(self, event: Json) -> bool:
        return bool(self.open[event["output_index"]]["id"] == event["item_id"])

    def _finish(self, index: int, item: Json) -> None:
        begun = self.open.pop(index)
        assert (begun["id"], begun["type"]) == (item["id"], item["type"])
        assert item["status"] in ("completed", "incomplete")
        assert not [text for place, text in self.parts if place == index]
        texts = {kind: text for (place, kind), text in self.finished.items() if place == index}
        assert texts == {kind: text for (place, kind), text in self.texts.items() if place == index}
        match item["type"]:
            case "message":
                (part,) = item["content"]
                assert texts == {"output_text": part["text"]}
                assert part["logprobs"] == self.logprobs.get(index, [])
            case "function_call":
                assert texts == {"function_call_arguments": item["arguments"]}
            case "custom_tool_call":
                assert texts == {"custom_tool_call_input": item["input"]}
            case "reasoning":
                shown = [part["text"] for part in item.get("content", ())]
                assert list(texts.values()) == shown
        self.done[index] = item


def fold(events: list[Json]) -> Json:
    """Return the response at the end of a whole stream, after checking its order."""
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert [kind for kind in kinds if kind in ENDINGS] == [kinds[-1]]
    for event in events[:2]:
        assert event["response"]["status"] == "in_progress"
        assert event["response"]["output"] == []
    folding = Folding()
    for event in events[2:-1]:
        folding.take(event)
    response: Json = events[-1]["response"]
    assert response["output"] == folding.output
    assert events[0]["response"]["id"] == response["id"]
    return response


def without_ids(output: list[Json]) -> list[Json]:
    """Return items without what differs between two runs of the same request."""
    secret = ("id", "encrypted_content")
    return [{key: value for key, value in item.items() if key not in secret} for item in output]
