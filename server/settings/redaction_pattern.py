"""The regular expressions of ``--trace-redact``, checked when the options are read."""

import re


def compile_redaction_pattern(text: str) -> re.Pattern[str]:
    """Compile `text`.

    Raises:
        ValueError: `text` is not a regular expression, or it matches the empty string.
    """
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from error
    if pattern.search("") is not None:
        raise ValueError(f"{text!r} matches the empty string")
    return pattern
