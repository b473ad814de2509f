"""The fields of a body that say how to think, beside those of the dialects.

Which dialect spells a budget how is for ``server.dialects``.
"""

from dataclasses import replace
from typing import Annotated, TypeVar

from fastapi import Request
from pydantic import Field

from server.api.body import StrictModel, read_dialect_body
from server.api.fields.thinking_options import ThinkingOptions
from server.dialects.resolution import ThinkingParams

ThinkingBodyT = TypeVar("ThinkingBodyT", bound="ThinkingBody")


class ThinkingBody(StrictModel):
    """A body of any endpoint that thinks."""

    thinking_options: ThinkingOptions | None = None
    min_thinking_tokens: Annotated[
        int | None, Field(ge=0, description="Fewest hidden tokens: a thought is held open.")
    ] = None


async def read_thinking_body(
    request: Request, model: type[ThinkingBodyT]
) -> tuple[ThinkingBodyT, ThinkingParams]:
    """Read a body and all that it says about thinking.

    Raises:
        ApiError: see :func:`server.api.body.read_dialect_body`.
    """
    body, thinking = await read_dialect_body(request, model)
    return body, replace(
        thinking, options=body.thinking_options, min_thinking_tokens=body.min_thinking_tokens
    )
