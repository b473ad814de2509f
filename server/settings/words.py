"""Options with several words: ``--option a b``, ``a,b`` or, as in vLLM, the JSON list ``["a"]``.

Does not know what the words mean.
"""

import json
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_settings import NoDecode


def split_words(value: Any) -> Any:
    """Return the words of `value`, a text or a list of texts; None: no words.

    Raises:
        ValueError: a text begins like a JSON list, but is not one.
    """
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            return json.loads(value)
        return [word.strip() for word in value.split(",") if word.strip()]
    if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
        return [word for text in value for word in split_words(text)]
    return [] if value is None else value


# `NoDecode`: the environment variable is split here too, and not only read as JSON.
Words = Annotated[list[str], NoDecode, BeforeValidator(split_words)]
