"""Sealed summaries of conversations: the content of ``compaction`` items.

A summary is sealed as thoughts are, for the holder of one key. Does not know who writes summaries.
"""

import json

from server.keys.sealed_thoughts import SealError, ThoughtSeal

_SUMMARY = "summary"
_HEADING = "Summary of the conversation so far:\n"


def seal_summary(seal: ThoughtSeal, summary: str) -> str:
    """Return `summary` as text that only this server can read."""
    return seal.seal(json.dumps({_SUMMARY: summary}))


def open_summary(seal: ThoughtSeal, sealed: str) -> str:
    """Return the text that a summary puts in the place of the conversation.

    Raises:
        SealError: it is not a summary of ours for this key.
    """
    try:
        content = json.loads(seal.open(sealed))
    except ValueError:  # a SealError, or a thought
        raise SealError("is not a summary that this server made") from None
    if not isinstance(content, dict) or not isinstance(content.get(_SUMMARY), str):
        raise SealError("is not a summary that this server made")
    return _HEADING + str(content[_SUMMARY])
