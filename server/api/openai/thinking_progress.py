"""``stream_options.include_thinking_progress``, on every endpoint of OpenAI's form.

Does not know how an endpoint writes the progress.
"""

from typing import TypeVar

from pydantic import Field, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel

_NAME = "include_thinking_progress"


class ProgressOption(StrictModel):
    """Stream options with a field for the progress of hidden thoughts."""

    include_thinking_progress: bool | None = Field(
        None,
        description="true: while a thought runs, the stream says how many tokens of the budget it "
        "has used, at most five times a second, and once more when it ends; never what it says.",
    )


OptionsT = TypeVar("OptionsT", bound=ProgressOption | None)


def check_progress_is_streamed(options: OptionsT, info: ValidationInfo) -> OptionsT:
    """Return `options` of a body whose `stream` was read before.

    Raises:
        ValidationError: they ask for progress, but nothing is streamed.
    """
    if options is None or not options.include_thinking_progress or info.data.get("stream"):
        return options
    text = "needs stream: true; a reply that is not streamed has the receipt only"
    error = PydanticCustomError("contradiction", "{text}", {"text": text})
    problem = {"type": error, "loc": (_NAME,), "input": True}
    raise ValidationError.from_exception_data(_NAME, [problem])  # type: ignore[list-item]


def asks_for_progress(options: ProgressOption | None) -> bool:
    """Return whether the stream is to report how far thoughts are."""
    return options is not None and bool(options.include_thinking_progress)
