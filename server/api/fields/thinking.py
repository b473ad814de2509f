"""Native thinking fields of a body, in addition to those of the dialects.

Does not know how the dialects spell a budget: see ``server.dialects``.
"""

from dataclasses import replace
from typing import Annotated, TypeVar

from fastapi import Request
from pydantic import Field

from server.api.body import StrictModel, read_dialect_body
from server.api.fields.thinking_options import ThinkingOptions
from server.dialects.resolution import ThinkingParams
from server.quotas.turns.request import TurnRequest

ThinkingBodyT = TypeVar("ThinkingBodyT", bound="ThinkingBody")


class ThinkingBody(StrictModel):
    """Body of any endpoint that thinks."""

    thinking_options: ThinkingOptions | None = None
    min_thinking_tokens: Annotated[
        int | None,
        Field(
            ge=0, description="Minimum number of hidden tokens; until then, thoughts are kept open."
        ),
    ] = None

    def find_turn(self) -> TurnRequest | None:
        """Return the turn that the request draws on; None: it names none.

        Raises:
            BadRequestError: a field of the turn is missing.
        """
        options = self.thinking_options
        if options is None or options.turn is None:
            return None
        return options.turn.to_request()


async def read_thinking_body(
    request: Request, model: type[ThinkingBodyT]
) -> tuple[ThinkingBodyT, ThinkingParams]:
    """Read a body and all of its thinking parameters.

    Raises:
        ApiError: see :func:`server.api.body.read_dialect_body`.
    """
    body, thinking = await read_dialect_body(request, model)
    return body, replace(
        thinking, options=body.thinking_options, min_thinking_tokens=body.min_thinking_tokens
    )
