"""Turns of a conversation in Anthropic's form. Does not know the bodies that have them."""

from typing import Annotated, Any, Literal

from server.api.anthropic.blocks import Content
from server.api.body import StrictModel
from server.api.fields.only_values import OnlyValues, to_enum_schema

_TOP_LEVEL = "send the effort in output_config.effort of the body, for the whole request"


class TurnMessage(StrictModel):
    """Turn of a conversation. A `system` turn is an instruction inside the conversation."""

    role: Literal["user", "assistant", "system"]
    content: Content
    clear_at: Literal["next_user_message", "never"] | None = None
    output_config: Annotated[
        dict[str, Any] | None, OnlyValues({}, why=_TOP_LEVEL), to_enum_schema({})
    ] = None
