"""Checking a constraint before the engine gets it: nothing that hangs may reach it.

In vLLM a constraint that compiles too slowly holds up all others, and one whose mask is slow
to compute holds up every request. So it is tried out in a child process first, which is
started with the first constraint, and ended and replaced when a constraint is too much for
it. Constraints that passed are remembered. Knows nothing of the wire.
"""

import asyncio
import logging
import multiprocessing
import re
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import xgrammar
from transformers import PreTrainedTokenizerBase

from server.engine.constraint import AnswerConstraint, ConstraintKind
from server.engine.grammar_trial import TrialSettings, run_trials
from server.engine.protocol import ConstraintError, EngineError

TRIAL_SECONDS = 5.0
START_SECONDS = 120.0
MAX_REMEMBERED = 256

_PLACE = re.compile(r"line \d+, column \d+|position \d+")
_WHAT = {
    ConstraintKind.JSON_SCHEMA: "is not a JSON schema that the engine can enforce",
    ConstraintKind.REGEX: "is not a regular expression that the engine can enforce",
    ConstraintKind.GRAMMAR: "is not a grammar that the engine can enforce",
    ConstraintKind.CHOICE: "is not a choice that the engine can enforce",
}
logger = logging.getLogger(__name__)


class GrammarCheck:
    """One at a time: a second child would take the engine's cores."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        vocab_size: int,
        stop_token_ids: tuple[int, ...],
        *,
        any_whitespace: bool = True,
    ) -> None:
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._stop_token_ids = stop_token_ids
        self._any_whitespace = any_whitespace
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="grammar-check")
        self._child: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._passed: OrderedDict[tuple[ConstraintKind, str], None] = OrderedDict()

    async def check(self, constraint: AnswerConstraint, text: str) -> None:
        """Return where the engine can enforce `constraint`, which is compiled from `text`.

        Raises:
            ConstraintError: it cannot.
            EngineError: the child does not start.
        """
        kind = constraint.kind
        if kind is ConstraintKind.JSON_OBJECT:
            return
        if kind is ConstraintKind.CHOICE:
            kind = ConstraintKind.GRAMMAR
        with suppress(KeyError):  # has it passed, it need not wait for others' trials
            self._passed.move_to_end((kind, text))
            return
        loop = asyncio.get_running_loop()
        fault = await loop.run_in_executor(self._thread, self._ask, kind, text)
        if fault is not None:
            is_ours, message = fault
            reason = message if is_ours else _reason(constraint.kind, message)
            raise ConstraintError(constraint.field, reason)

    def close(self) -> None:
        """End the child."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._end_child()

    def _ask(self, kind: ConstraintKind, text: str) -> tuple[bool, str] | None:
        key = (kind, text)
        if key in self._passed:  # while this one waited
            return None
        fault = self._ask_child(kind, text)
        if fault is None:
            self._passed[key] = None
            if len(self._passed) > MAX_REMEMBERED:
                self._passed.popitem(last=False)
        return fault

    def _ask_child(self, kind: ConstraintKind, text: str) -> tuple[bool, str] | None:
        connection = self._connection or self._start_child()
        try:
            connection.send((kind, text))
            if connection.poll(TRIAL_SECONDS):
                fault: tuple[bool, str] | None = connection.recv()
                return fault
        except (EOFError, OSError):
            logger.warning("a constraint ended the process that tried it out")
        self._end_child()
        return True, "is too complex"

    def _start_child(self) -> Connection:
        tokens = xgrammar.TokenizerInfo.from_huggingface(
            self._tokenizer, vocab_size=self._vocab_size
        )
        settings = TrialSettings(
            tokens.serialize_json(), self._stop_token_ids, self._any_whitespace
        )
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._child = context.Process(
            target=run_trials, args=(theirs, settings), name="grammar-trial", daemon=True
        )
        self._child.start()
        theirs.close()
        with suppress(EOFError):
            if self._connection.poll(START_SECONDS):
                self._connection.recv()
                return self._connection
        self._end_child()
        raise EngineError("the process that tries constraints out did not start")

    def _end_child(self) -> None:
        child, self._child = self._child, None
        connection, self._connection = self._connection, None
        if child is not None:
            child.kill()
            child.join()
        if connection is not None:
            connection.close()


def _reason(kind: ConstraintKind, message: str) -> str:
    """Where the fault is, without the words around it: they quote the client's text."""
    place = _PLACE.search(message) if kind in _PLACED else None
    return _WHAT[kind] + (f" ({place[0]})" if place else "")


_PLACED = (ConstraintKind.REGEX, ConstraintKind.GRAMMAR)
