"""What every driver shares: what it asks, and how it says what came.

A driver runs in the environment of its client, where neither pytest nor the server is. It tries
each feature, and prints one JSON object on its last line: the client's version, and by feature
what came or how it failed. It judges nothing: tests do.
"""

import importlib.metadata
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

MODEL = "smollm2-135m-instruct"
QUESTION = "What is 17 + 25?"
BUDGET = 24
MAX_TOKENS = 60

Reply = dict[str, Any]


def base_url() -> str:
    """Of the server, without ``/v1``."""
    return sys.argv[1]


def streamed(pieces: list[str]) -> Reply:
    """What a stream brought."""
    return {"text": "".join(pieces), "num_pieces": len([piece for piece in pieces if piece])}


def report(package: str, features: Mapping[str, Callable[[], Reply]]) -> None:
    """Try all `features` and print what came."""
    replies = {name: _tried(ask) for name, ask in features.items()}
    version = importlib.metadata.version(package)
    sys.stdout.write("\n" + json.dumps({"version": version, "replies": replies}) + "\n")


def _tried(ask: Callable[[], Reply]) -> Reply:
    try:
        return ask()
    except Exception:
        return {"error": traceback.format_exc()}
