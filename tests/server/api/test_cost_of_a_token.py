"""What a token costs the API process, counted in calls of our functions, not in seconds.

The engine is scripted; its own calls are not counted. A bound that breaks says that a token now
passes through more code than before: raise it only for something that is worth it.
"""

import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import pytest

import server
from tests.server.conftest import Serve, wants

FOLDER = str(Path(server.__file__).parent)
ENGINE = ("scripted", "scripted_model", "scripted_sampling")
FEW, MANY = 50, 250
LETTERS = Random(3).choices("abcdefghijklmnopqrstuvwxyz", k=1000)
TEXT = "".join(LETTERS)  # a thought in which nothing repeats itself
SHOWN, HIDDEN = 30, 2  # calls a token, at most


async def count_calls(work: Callable[[], Awaitable[Any]]) -> Counter[str]:
    """Return how often each function of the API layer was entered or resumed during `work`."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(FOLDER) and Path(path).stem not in ENGINE:
            calls[f"{Path(path).stem}.{frame.f_code.co_qualname}"] += 1

    sys.setprofile(note)
    try:
        await work()
    finally:
        sys.setprofile(None)
    return calls


async def count_per_token(ask: Callable[[int], Awaitable[Any]]) -> dict[str, float]:
    """Return the calls that each further token of a reply of `ask` costs, by function."""
    await ask(FEW)  # fills caches
    few, many = [await count_calls(partial(ask, number)) for number in (FEW, MANY)]
    tokens = MANY - FEW
    return {
        name: round((many[name] - few[name]) / tokens, 2)
        for name in many
        if many[name] - few[name] > tokens / 20
    }


async def test_a_shown_token_passes_few_functions(serve: Serve) -> None:
    served = serve(wants(TEXT))
    found = await count_per_token(
        lambda number: served.events(max_thinking_tokens=0, max_completion_tokens=number)
    )
    assert sum(found.values()) <= SHOWN, found


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_hidden_token_passes_fewer(serve: Serve, is_streamed: bool) -> None:
    served = serve(wants(TEXT))
    found = await count_per_token(
        lambda number: served.chat(
            stream=is_streamed,
            max_thinking_tokens=number,
            max_completion_tokens=number + 300,  # as many of answer each time
            include_reasoning=False,
        )
    )
    assert sum(found.values()) <= HIDDEN, found
