"""The client of the reward model that judges branches: a vLLM pooling server, or an HTTP scorer.

Knows the two wire formats and converts their answers to numbers from 0 to 1. Does not know
strategies, nor which choice a branch belongs to.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from server.errors.internal import ScorerError
from server.settings.settings import ServerSettings

TOKEN_VARIABLE = "THINKING_SERVER_SCORER_TOKEN"  # noqa: S105 - its name
NUM_RETRIES = 2  # of connections that could not be made


@dataclass(frozen=True, slots=True)
class Candidate:
    """An unfinished or finished reply; `token_ids` are prompt and reply."""

    token_ids: Sequence[int]
    thought: str
    answer: str


class RewardModel:
    """An HTTP client, one per server; :meth:`close` frees its connections."""

    def __init__(self, settings: ServerSettings) -> None:
        assert settings.scorer_url is not None
        token = os.environ.get(TOKEN_VARIABLE)
        self._settings = settings
        self._url = settings.scorer_url.rstrip("/")
        self._client = httpx.AsyncClient(
            timeout=settings.scorer_timeout_seconds,
            headers={"authorization": f"Bearer {token}"} if token else {},
            transport=httpx.AsyncHTTPTransport(retries=NUM_RETRIES),
        )

    async def judge(
        self, messages: Sequence[Mapping[str, Any]], candidates: Sequence[Candidate]
    ) -> list[float]:
        """Return a score from 0 to 1 for each candidate reply to `messages`.

        Raises:
            ScorerError: the reward model cannot be reached, refuses, or sends no scores.
        """
        if not candidates:
            return []
        try:
            if self._settings.scorer_api == "classify":
                scores = await self._classify(candidates)
            else:
                scores = await self._score(messages, candidates)
        except httpx.HTTPStatusError as error:
            raise ScorerError(f"it answered with {error.response.status_code}") from error
        except httpx.TimeoutException as error:
            raise ScorerError("it did not answer in time") from error
        except httpx.HTTPError as error:
            raise ScorerError("it cannot be reached") from error
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ScorerError("its answer could not be read") from error
        if len(scores) != len(candidates):
            raise ScorerError(f"it gave {len(scores)} scores for {len(candidates)} replies")
        return scores

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _classify(self, candidates: Sequence[Candidate]) -> list[float]:
        """Request vLLM's ``/classify``; return the probability of the last, or only, class."""
        body = {"input": [list(candidate.token_ids) for candidate in candidates]}
        reply = await self._post(f"{self._url}/classify", body)
        entries = sorted(reply["data"], key=lambda entry: int(entry["index"]))
        return [_clamp(entry["probs"][-1]) for entry in entries]

    async def _score(
        self, messages: Sequence[Mapping[str, Any]], candidates: Sequence[Candidate]
    ) -> list[float]:
        body = {
            "messages": list(messages),
            "candidates": [{"thought": c.thought, "answer": c.answer} for c in candidates],
        }
        reply = await self._post(self._url, body)
        return [_clamp(score) for score in reply["scores"]]

    async def _post(self, url: str, body: dict[str, Any]) -> Any:
        if self._settings.scorer_model is not None:
            body["model"] = self._settings.scorer_model
        response = await self._client.post(url, json=body)
        response.raise_for_status()
        return response.json()


def _clamp(value: Any) -> float:
    """Convert `value` to a number from 0 to 1.

    Raises:
        ValueError: it is not a finite number.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a finite score")
    return min(1.0, max(0.0, number))
