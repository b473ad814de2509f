"""Map as a JSON object, or as server-sent events.

The events are ASCII, like those of all streams. Does not know how positions are read.
"""

import json
import time
from collections.abc import Sequence
from typing import Any

from server.api.openai.logprobs import LOWEST_LOGPROB
from server.api.thinking.map.mapping import MapRun
from server.api.thinking.map.reading import Position

_to_json = json.JSONEncoder(separators=(",", ":")).encode


class MapWriter:
    """Writes one map. `is_list`: `mix` was sent as a list, so it is returned as a list."""

    def __init__(self, run: MapRun, model_name: str, *, is_list: bool) -> None:
        self._run = run
        self._is_list = is_list
        self._head = {
            "id": run.job.map_id,
            "created": int(time.time()),
            "model": model_name,
            "thought_tokens": run.job.thought_tokens,
            "mix": self._to_weighted(run.job.weights),
        }

    @property
    def total(self) -> int:
        """Number of positions."""
        return len(self._run.job.text.token_ids)

    def to_map(self, positions: Sequence[Position]) -> dict[str, Any]:
        """Return the whole map, with its positions in the text's order."""
        ordered = sorted(positions, key=lambda position: position.index)
        body = self.to_summary(positions)
        return {**body, "positions": [self.to_position(position) for position in ordered]}

    def to_summary(self, positions: Sequence[Position]) -> dict[str, Any]:
        """Return the map without its positions."""
        mixed = zip(*(_floor(position.mixed) for position in positions), strict=True)
        return {
            "object": "thinking.map",
            **self._head,
            "mean_logprob": _compute_mean([p.logprob for p in positions]),
            "mean_logprob_with_thought": _compute_mean([p.logprob_with_thought for p in positions]),
            "mean_logprob_mixed": self._to_weighted([_compute_mean(values) for values in mixed]),
            "mean_gain": _compute_mean([_compute_gain(p) for p in positions]),
            "usage": self._to_usage(),
        }

    def to_position(self, position: Position) -> dict[str, Any]:
        """Return a position; it has the thought only if that may be shown."""
        piece = self._run.job.text.pieces[position.index]
        without, with_thought = _floor((position.logprob, position.logprob_with_thought))
        shown = {"reasoning": position.reasoning} if self._run.job.shows_thought else {}
        return {
            "index": position.index,
            "token": piece.decode("utf-8", "replace"),
            "bytes": list(piece),
            "logprob": without,
            "logprob_with_thought": with_thought,
            "logprob_mixed": self._to_weighted(_floor(position.mixed)),
            "gain": _compute_gain(position),
            "thought_tokens": position.thought_tokens,
            "stop": position.stop.value,
            **shown,
        }

    def format_start_event(self) -> bytes:
        """Return the first event, sent at once: the number of positions."""
        return self._format_event(
            {"object": "thinking.map.start", **self._head, **self._to_progress(0)}
        )

    def format_position_event(self, position: Position, num_done: int) -> bytes:
        """Return the event of a finished position, with the map's progress."""
        body = {"object": "thinking.map.position", "position": self.to_position(position)}
        return self._format_event(body | self._to_progress(num_done))

    def format_summary_event(self, positions: Sequence[Position]) -> bytes:
        """Return the last event: the summary."""
        return self._format_event(self.to_summary(positions))

    def _to_progress(self, num_done: int) -> dict[str, int]:
        return {"done": num_done, "total": self.total}

    def _to_weighted(self, values: Sequence[float]) -> float | list[float]:
        return list(values) if self._is_list else values[0]

    def _to_usage(self) -> dict[str, Any]:
        num_prompt, tally = self._run.num_prompt_tokens, self._run.tally
        return {
            "prompt_tokens": num_prompt,
            "completion_tokens": tally.generated,
            "total_tokens": num_prompt + tally.generated,
            "completion_tokens_details": {"reasoning_tokens": tally.reasoning},
            **({} if self._run.cost is None else {"cost": float(self._run.cost)}),
        }

    @staticmethod
    def _format_event(body: dict[str, Any]) -> bytes:
        return f"data: {_to_json(body)}\n\n".encode()


def _floor(values: Sequence[float]) -> list[float]:
    """Return `values` without -inf, which JSON does not have."""
    return [max(value, LOWEST_LOGPROB) for value in values]


def _compute_gain(position: Position) -> float:
    without, with_thought = _floor((position.logprob, position.logprob_with_thought))
    return with_thought - without


def _compute_mean(values: Sequence[float]) -> float:
    return sum(_floor(values)) / len(values)
