"""Sampling fields that the bodies of all endpoints have.

A sampling field is declared here, with its bounds, and under the same name in
:class:`server.engine.protocol.SamplingSettings`; no code in between names it. Does not know the
model: what depends on its vocabulary or context is checked in ``server.reply``.
"""

from dataclasses import fields
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from server.api.body import StrictModel
from server.api.fields.stop import StopStrings
from server.api.fields.thinking import ThinkingBody
from server.engine.protocol import MAX_SEED, SamplingSettings

_NAMES = [field.name for field in fields(SamplingSettings)]
# The likeliest token alone: the engine takes no 0, as OpenAI's API does.
_LOWEST_TOP_P = 1e-6
TopP = Annotated[
    Annotated[float, Field(ge=0, le=1), AfterValidator(lambda value: max(value, _LOWEST_TOP_P))]
    | None,
    Field(description="0: only the likeliest token."),
]


class SamplingFields(StrictModel):
    """Sampling fields that all endpoints have under the same name and with the same bounds."""

    top_p: TopP = None
    top_k: int | None = Field(None, ge=-1, description="0, -1 or null: no limit.")
    min_p: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=-MAX_SEED - 1, le=MAX_SEED)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    repetition_penalty: float | None = Field(None, gt=0)
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None


class OpenAISamplingFields(ThinkingBody, SamplingFields):
    """Body with thinking and sampling fields, as all of OpenAI's endpoints have them."""

    temperature: float | None = Field(None, ge=0, le=2)
    stop: StopStrings = None


def get_requested_sampling(body: StrictModel, **more: Any) -> dict[str, Any]:
    """Return the sampling fields of `body`, and `more`, by the names that the engine uses.

    Fields that are null or missing are left out.
    """
    values = {name: getattr(body, name, None) for name in _NAMES} | more
    return {name: value for name, value in values.items() if value is not None}
