"""Native thinking fields of a body, in addition to those of the dialects.

Does not know how the dialects spell a budget: see ``server.dialects``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, TypeVar

from fastapi import Request
from pydantic import Field

from server.api.body import StrictModel, read_dialect_body
from server.api.fields.continuing import SEALED, ContinueThinking, find_unknown_includes
from server.api.fields.thinking_options import ThinkingOptions
from server.api.ignored import note_ignored
from server.dialects.claims import Claim
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
    continue_thinking: Annotated[
        ContinueThinking | None,
        Field(description="Go on with the thought of an earlier reply to the same prompt."),
    ] = None
    include: Annotated[
        list[str] | None,
        Field(description=f"{SEALED}: the receipt has a thought that was cut, sealed."),
    ] = None

    @property
    def thinking_claims(self) -> Sequence[Claim]:
        """See :attr:`server.api.body.StrictModel.thinking_claims`."""
        return () if self.continue_thinking is None else self.continue_thinking.claims

    def includes(self, name: str) -> bool:
        """Return whether `include` has `name`."""
        return name in (self.include or ())

    def find_unknown_includes(self) -> Iterator[str]:
        """Yield the paths of values of `include` without effect.

        Raises:
            BadRequestError: one of them was meant to be ours.
        """
        return find_unknown_includes(self.include)

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
    for path in body.find_unknown_includes():
        note_ignored(request, path)
    continued = body.continue_thinking
    return body, replace(
        thinking,
        options=body.thinking_options,
        min_thinking_tokens=body.min_thinking_tokens,
        sealed_thought=None if continued is None else continued.sealed,
        seals_thought=body.includes(SEALED),
    )
