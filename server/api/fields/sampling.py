"""Sampling fields that the bodies of all of OpenAI's endpoints have.

A sampling field is declared here, with its bounds, and under the same name in
:class:`server.engine.protocol.SamplingSettings`; no code in between names it. Does not know the
model: what depends on its vocabulary or context is checked in ``server.reply``.
"""

from dataclasses import fields
from typing import Annotated, Any

from pydantic import Field

from server.api.body import StrictModel
from server.api.fields.stop import StopStrings
from server.api.fields.thinking import ThinkingBody
from server.engine.protocol import MAX_SEED, SamplingSettings

_NAMES = [field.name for field in fields(SamplingSettings)]


class SamplingFields(ThinkingBody):
    """Body with thinking and sampling fields."""

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, description="0, -1 or null: no limit.")
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-MAX_SEED - 1, le=MAX_SEED)
    stop: StopStrings = None
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None


def get_requested_sampling(body: StrictModel, **more: Any) -> dict[str, Any]:
    """Return the sampling fields of `body`, and `more`, by the names that the engine uses.

    Fields that are null or missing are left out.
    """
    values = {name: getattr(body, name, None) for name in _NAMES} | more
    return {name: value for name, value in values.items() if value is not None}
