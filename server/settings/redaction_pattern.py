"""A regular expression of ``--trace-redact``, checked where options are read."""

import re


def redaction_pattern(text: str) -> re.Pattern[str]:
    """`text` compiled.

    Raises:
        ValueError: it is no regular expression, or matches nothing at all everywhere.
    """
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from error
    if pattern.search("") is not None:
        raise ValueError(f"{text!r} matches the empty text")
    return pattern
