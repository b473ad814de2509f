"""Checks constraints before they reach the engine, so that none can block it.

In vLLM a constraint that compiles too slowly blocks all others, and a constraint whose token mask
is slow to compute delays every request. Each constraint is therefore tried in a child process
first. The child is started with the first constraint, and killed and replaced if a constraint takes
too long or crashes it. Results are cached, and callers take turns. Does not know the wire format.
"""

import asyncio
import logging
import multiprocessing
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

import xgrammar
from cachetools import LRUCache, TTLCache
from transformers import PreTrainedTokenizerBase

from server.callers.context import caller
from server.callers.turns import Turns
from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from server.engine.grammar_trial import Fault, TrialSettings, run_trials
from server.errors.internal import ConstraintError, EngineError

TRIAL_SECONDS = 5.0
START_SECONDS = 120.0
MAX_REMEMBERED = 256
# A client that retries must not block the others again. The refusal expires because a constraint
# that was too slow on a busy machine may pass on an idle one.
REFUSED_SECONDS = 60.0

_PLACE = re.compile(r"line \d+, column \d+|position \d+")
_PROBLEMS = {
    ConstraintKind.JSON_SCHEMA: "is not a JSON schema that the engine can enforce",
    ConstraintKind.REGEX: "is not a regular expression that the engine can enforce",
    ConstraintKind.GRAMMAR: "is not a grammar that the engine can enforce",
    ConstraintKind.CHOICE: "is not a choice that the engine can enforce",
    ConstraintKind.STRUCTURE: "is not a schema that the engine can enforce beside tools",
}
# Preloaded in the fork server: each child would otherwise need seconds to import it.
PRELOADED = ["server.engine.grammar_trial"]
logger = logging.getLogger(__name__)

Grammar = tuple[ConstraintKind, str]


class GrammarCheck:
    """Tries constraints one at a time: a second child would compete for the engine's cores."""

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
        self._turns = Turns(1)
        self._child: ForkServerProcess | None = None
        self._connection: Connection | None = None
        self._passed: LRUCache[Grammar, None] = LRUCache(MAX_REMEMBERED)
        self._refused: TTLCache[Grammar, Fault] = TTLCache(MAX_REMEMBERED, REFUSED_SECONDS)

    async def check(self, constraint: AnswerConstraint, text: str) -> None:
        """Check that the engine can enforce `constraint`, which it compiles from `text`.

        Raises:
            ConstraintError: the engine cannot enforce it.
            EngineError: the child process did not start.
        """
        kind = constraint.kind
        if kind is ConstraintKind.JSON_OBJECT:
            return
        if kind is ConstraintKind.CHOICE:
            kind = ConstraintKind.GRAMMAR
        fault = await self._find_fault((kind, text))
        if fault is not None:
            reason = (
                fault.message if fault.is_ours else _describe_fault(constraint.kind, fault.message)
            )
            raise ConstraintError(constraint.field, reason)

    def close(self) -> None:
        """Kill the child process."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._end_child()

    async def _find_fault(self, grammar: Grammar) -> Fault | None:
        with suppress(KeyError):  # a cached result need not wait for other trials
            return self._recall(grammar)
        return await self._turns.take(
            caller.get(), lambda: asyncio.ensure_future(self._try(grammar))
        )

    async def _try(self, grammar: Grammar) -> Fault | None:
        with suppress(KeyError):  # it may have been tried during the wait
            return self._recall(grammar)
        loop = asyncio.get_running_loop()
        fault = await loop.run_in_executor(self._thread, self._try_in_child, grammar)
        if fault is None:
            self._passed[grammar] = None
        else:
            self._refused[grammar] = fault
        return fault

    def _recall(self, grammar: Grammar) -> Fault | None:
        """Return the cached result; raise KeyError if there is none or it has expired."""
        return self._refused.get(grammar) or self._passed[grammar]

    def _try_in_child(self, grammar: Grammar) -> Fault | None:
        connection = self._connection or self._start_child()
        try:
            connection.send(grammar)
            if connection.poll(TRIAL_SECONDS):
                fault: Fault | None = connection.recv()
                return fault
        except (EOFError, OSError):
            logger.warning("a constraint crashed the process that tried it")
        self._end_child()
        return Fault("is too complex", is_ours=True)

    def _start_child(self) -> Connection:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._connection, theirs = context.Pipe()
        self._child = context.Process(
            target=run_trials, args=(theirs, self._settings), name="grammar-trial", daemon=True
        )
        self._child.start()
        theirs.close()
        with suppress(EOFError):
            if self._connection.poll(START_SECONDS):
                self._connection.recv()
                return self._connection
        self._end_child()
        raise EngineError("the process that tries constraints did not start")

    @cached_property
    def _settings(self) -> TrialSettings:
        tokens = xgrammar.TokenizerInfo.from_huggingface(
            self._tokenizer, vocab_size=self._vocab_size
        )
        return TrialSettings(tokens.serialize_json(), self._stop_token_ids, self._any_whitespace)

    def _end_child(self) -> None:
        child, self._child = self._child, None
        connection, self._connection = self._connection, None
        if child is not None:
            child.kill()
            child.join()
        if connection is not None:
            connection.close()


def _describe_fault(kind: ConstraintKind, message: str) -> str:
    """Describe the fault by its position only: the rest of `message` quotes the client's text."""
    place = _PLACE.search(message) if kind in _PLACED else None
    return _PROBLEMS[kind] + (f" ({place[0]})" if place else "")


_PLACED = (ConstraintKind.REGEX, ConstraintKind.GRAMMAR)
