"""Splits examples by question, so that no question is in both training and validation.

A question falls on the same side in every export with the same share.
"""

import hashlib
import json
from collections.abc import Iterable

from clients.traces.examples import Example
from clients.traces.trace import Conversation


def is_validation(question: Conversation, share: float) -> bool:
    """Return whether `question` is in the `share` (0 to 1) of questions kept for validation."""
    digest = hashlib.sha256(json.dumps(question).encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def split(examples: Iterable[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Return training and validation examples, each in their order."""
    train: list[Example] = []
    validation: list[Example] = []
    for example in examples:
        (validation if is_validation(example.question, share) else train).append(example)
    return train, validation
