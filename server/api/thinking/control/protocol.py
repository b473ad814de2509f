"""Bodies of requests to change a running reply. Knows no running replies."""

from typing import Annotated, Literal

from pydantic import Field

from server.api.body import StrictModel
from server.errors.api import BadRequestError
from server.reply.control import ControlRequest
from thinking.command import CommandAction

MAX_TOKENS = 2**31 - 1
MAX_CHOICE = 2**31 - 1


class ThinkingControlRequest(StrictModel):
    """Body of ``POST /v1/thinking/{id}``."""

    action: Annotated[
        Literal["end", "extend", "add"],
        Field(
            description="`end` closes the thought, and the answer follows; `extend` raises the "
            "budget by `tokens`; `add` puts `text` into the thought."
        ),
    ]
    tokens: Annotated[
        int | None,
        Field(ge=1, le=MAX_TOKENS, description="Tokens to add to the budget, for `extend`."),
    ] = None
    text: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Text for `add`; it stands in a line of its own, and its tokens are paid "
            "from the budget.",
        ),
    ] = None
    choice: Annotated[
        int | None,
        Field(ge=0, le=MAX_CHOICE, description="Index of the choice; by default all choices."),
    ] = None

    def to_request(self, reply_id: str) -> ControlRequest:
        """Return the request for the reply with this id.

        Raises:
            BadRequestError: a field is missing, or belongs to another action.
        """
        for field, action in (("tokens", "extend"), ("text", "add")):
            value = getattr(self, field)
            if value is None and self.action == action:
                raise BadRequestError(
                    f"{field}: is needed for the action {action!r}",
                    param=field,
                    code="missing_field",
                )
            if value is not None and self.action != action:
                raise BadRequestError(
                    f"{field}: is for the action {action!r} only, not for {self.action!r}",
                    param=field,
                    code="contradictory_fields",
                )
        return ControlRequest(
            reply_id,
            CommandAction(self.action),
            num_tokens=self.tokens or 0,
            text=self.text or "",
            choice=self.choice,
        )


class CompletionControlRequest(StrictModel):
    """Body of ``POST /v1/chat/completions/control``, as in llama.cpp's server."""

    id: Annotated[str, Field(min_length=1, max_length=200, description="Id of the completion.")]
    action: Annotated[
        Literal["reasoning_end"], Field(description="Closes the thought; the answer follows.")
    ]
    model: Annotated[str | None, Field(description="Not used: the id says enough.")] = None

    def to_request(self) -> ControlRequest:
        """Return the request to end all thoughts of the completion."""
        return ControlRequest(self.id, CommandAction.END)
