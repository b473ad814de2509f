"""Sampling fields that the bodies of all endpoints have.

A sampling field is declared here, with its bounds, and under the same name in
:class:`server.engine.protocol.SamplingSettings`; no code in between names it. Does not know the
model: what depends on its vocabulary or context is checked in ``server.reply``.
"""

from dataclasses import fields
from typing import Annotated, Any

from pydantic import Field

from server.api.body import StrictModel
from server.api.fields.sampling_values import MinP, Temperature, TopK, TopP
from server.api.fields.stop import StopStrings
from server.api.fields.thinking import ThinkingBody
from server.engine.protocol import MAX_SEED, SamplingSettings

_NAMES = [field.name for field in fields(SamplingSettings)]


class SamplingFields(StrictModel):
    """Sampling fields that all endpoints have under the same name and with the same bounds."""

    top_p: TopP = None
    top_k: TopK = None
    min_p: MinP = None
    seed: int | None = Field(None, ge=-MAX_SEED - 1, le=MAX_SEED)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None


class OpenAISamplingFields(ThinkingBody, SamplingFields):
    """Body with thinking and sampling fields, as all of OpenAI's endpoints have them."""

    temperature: Temperature = None
    stop: StopStrings = None


def get_requested_sampling(body: StrictModel, **more: Any) -> dict[str, Any]:
    """Return the sampling fields of `body`, and `more`, by the names that the engine uses.

    Fields that are null or missing are left out.
    """
    values = {name: getattr(body, name, None) for name in _NAMES} | more
    return {name: value for name, value in values.items() if value is not None}
