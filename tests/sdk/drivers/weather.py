"""What drivers ask for where a client takes a type: small enough that any model must end.

Apart from `report`, as not every client brings pydantic.
"""

from typing import Literal

from pydantic import BaseModel


class Weather(BaseModel):
    """The weather of a city."""

    city: Literal["Berlin", "Paris"]
    unit: Literal["celsius", "fahrenheit"]


TOOL_NAME = "get_weather"
TOOL_TEXT = "The weather of a city."
TOOL = {
    "type": "function",
    "function": {
        "name": TOOL_NAME,
        "description": TOOL_TEXT,
        "parameters": Weather.model_json_schema(),
    },
}
WEATHER_QUESTION = "How warm is it in Paris, in celsius?"
