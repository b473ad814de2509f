"""``continue_thinking`` and ``include`` of a body, on every endpoint: thoughts that go on later.

Checks the fields on their own. Does not open a seal.
"""

from collections.abc import Iterator, Sequence

from pydantic import Field

from server.api.body import StrictModel
from server.api.typing_errors import find_misspelt
from server.dialects.claims import Claim, ClaimKind
from server.errors.api import BadRequestError

SEALED = "thinking.sealed"
_BUDGET = "continue_thinking.max_thinking_tokens"


class ContinueThinking(StrictModel):
    """``continue_thinking``: a thought that was cut, and the budget for going on with it."""

    sealed: str = Field(
        min_length=1, description="`thinking.sealed` of the reply whose thought was cut, unchanged."
    )
    max_thinking_tokens: int | None = Field(
        None, ge=-1, description="Maximum number of new hidden tokens; -1: the server's default."
    )

    @property
    def claims(self) -> list[Claim]:
        """The budget, like that of any other field."""
        count = self.max_thinking_tokens
        return [] if count is None or count < 0 else [Claim(_BUDGET, ClaimKind.TOKENS, count)]


def find_unknown_includes(
    include: Sequence[str] | None, known: Sequence[str] = (SEALED,)
) -> Iterator[str]:
    """Yield the paths of values of ``include`` that are not `known`, and so have no effect.

    Raises:
        BadRequestError: one of them was meant to be ours.
    """
    for place, name in enumerate(include or ()):
        if name in known:
            continue
        path = f"include[{place}]"
        if name.startswith("thinking") or find_misspelt(name, [SEALED]):
            raise BadRequestError(
                f"{path}: should be {SEALED!r}, for a thought that was cut",
                param=path,
                code="invalid_value",
            )
        yield path
