"""A model that answers by the question, behind our app, and ``thinking chat`` in a terminal."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from tests.clients.conftest import serve_in_thread
from tests.clients.pseudo_terminal import PseudoTerminal, started_in_terminal
from tests.server.conftest import (
    MODEL,
    PROFILES,
    STOP_ID,
    TOKENIZER,
    VOCAB_SIZE,
    ids,
    make_services,
)

# A token takes this long where a test wants to be in time.
PACE_SECONDS = 0.004
TRAPS = "\x1b]0;owned\x07\x1b[2Jclear \x9b31m<b>bold</b> [click](http://evil.example/) &#27;[31m!\n"
CODE = "Look:\n\n```python\nprint(1)\n```\n\n- one\n- two\n\n**The end.**"
ANSWERS = {
    "traps": TRAPS,
    "code": CODE,
    "endless": "word " * 700,
    "long": "After all.",
    "many": "\n\n".join(f"Paragraph {number}." for number in range(40)),
}
Start = Callable[..., AbstractContextManager[PseudoTerminal]]


class AnsweringModel:
    """Model that thinks 40 tokens, or without end about a question with "long" in it.

    Then it answers as `ANSWERS` says, else "Answer to …" with the question. `systems` are the
    prompts that it has read.
    """

    vocab_size = VOCAB_SIZE

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """See :class:`server.engine.scripted_model.LogitsSource`."""
        tokens = [*prompt, *output]
        begin = len(tokens) - tokens[::-1].index(ids("<|im_start|>")[0])
        written = tokens[begin + len(ids("assistant")) :]
        before = TOKENIZER.decode(tokens[: begin - 1])
        if not written:
            self.prompts.append(before)
        question = before.rpartition("user\n")[2].removesuffix("<|im_end|>\n")
        if question in ("long", "endless"):
            time.sleep(PACE_SECONDS)
        logits = torch.zeros(VOCAB_SIZE)
        logits[self._choose(question, written)] = 60.0
        return logits

    def _choose(self, question: str, written: Sequence[int]) -> int:
        start, end = ids("<think>")[0], ids("</think>")[0]
        if start in written and end not in written:
            is_over = question != "long" and len(written) > 40
            return end if is_over else ids("a")[0]
        answer = ids(ANSWERS.get(question, f"Answer to {question}"))
        place = len(written) - (written.index(end) + 1 if end in written else 0)
        return answer[place] if place < len(answer) else STOP_ID


@pytest.fixture(scope="module")
def answering_model() -> AnsweringModel:
    """The model behind `chat_url`."""
    return AnsweringModel()


@pytest.fixture(scope="module")
def chat_url(answering_model: AnsweringModel) -> Iterator[str]:
    """Our app over that model."""
    engine = ScriptedEngine(
        answering_model,
        TOKENIZER,
        PROFILES["special markers"],
        model_name=MODEL,
        max_model_len=4096,
    )
    services = make_services()
    services.set_engine(engine)
    with serve_in_thread(create_app(services), engine.close) as url:
        yield url
    asyncio.run(services.close())


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Starts ``thinking chat`` in a terminal: ``start(url, "--budget", "64", columns=40)``."""
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= {"XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm-256color"}
    environment["LC_ALL"] = "C.UTF-8"

    def start_chat(url: str, *arguments: str, **options: Any) -> Any:
        command = [sys.executable, "-m", "clients.cli", "chat", "--url", url, *arguments]
        return started_in_terminal(command, environment | options.pop("env", {}), **options)

    return start_chat
