"""The child process that tries grammars out: a small one can keep a compiler busy for ever.

It compiles as the engine will (xgrammar, same tokens), walks a few tokens along, and says
what is wrong. It may hang, grow or crash: its parent (:mod:`.grammar_check`) then ends it.
Knows nothing of vLLM nor of who asks.
"""

import random
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import psutil
import torch
import xgrammar

from server.constraint.answer_constraint import ConstraintKind
from server.engine.process_hooks import set_up_process

# vLLM parses a grammar once more on the event loop, and asks for a mask at every step of
# the whole batch: what takes long there would hold up everybody.
MAX_PARSE_SECONDS = 0.5
MAX_MASK_SECONDS = 0.1
MAX_MEMORY_BYTES = 2 * 2**30
NUM_WALKS = 4
NUM_STEPS = 24

_PARSERS: dict[ConstraintKind, Callable[[str], Any]] = {
    ConstraintKind.JSON_SCHEMA: xgrammar.Grammar.from_json_schema,
    ConstraintKind.REGEX: xgrammar.Grammar.from_regex,
    ConstraintKind.GRAMMAR: xgrammar.Grammar.from_ebnf,
}


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """The engine's tokens, and how it writes JSON."""

    tokenizer_info: str  # xgrammar's own JSON form
    stop_token_ids: tuple[int, ...]
    any_whitespace: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a grammar cannot be used. `is_ours`: in our words, which quote nothing of it."""

    message: str
    is_ours: bool


class GrammarFaultError(Exception):
    """Why a grammar cannot be used; the message quotes nothing of it."""


class GrammarTrial:
    """Compiles with one model's tokens."""

    def __init__(self, settings: TrialSettings) -> None:
        self._settings = settings
        self._tokens = xgrammar.TokenizerInfo.deserialize_json(settings.tokenizer_info)
        self._compiler = xgrammar.GrammarCompiler(self._tokens, max_threads=1, cache_enabled=False)
        self._mask = xgrammar.allocate_token_bitmask(1, self._tokens.vocab_size)

    def run(self, kind: ConstraintKind, text: str) -> None:
        """Return where the grammar can be used.

        Raises:
            GrammarFaultError: it cannot.
            RuntimeError: xgrammar's own complaint.
        """
        started = time.thread_time()
        _PARSERS[kind](text)
        if time.thread_time() - started > MAX_PARSE_SECONDS:
            raise GrammarFaultError("is too complex")
        grammar = self._compile(kind, text)
        for seed in range(NUM_WALKS):
            self._walk(grammar, random.Random(seed))

    def _compile(self, kind: ConstraintKind, text: str) -> xgrammar.CompiledGrammar:
        match kind:
            case ConstraintKind.JSON_SCHEMA:
                compact = None if self._settings.any_whitespace else (",", ":")
                return self._compiler.compile_json_schema(
                    text, any_whitespace=self._settings.any_whitespace, separators=compact
                )
            case ConstraintKind.REGEX:
                return self._compiler.compile_regex(text)
            case _:
                return self._compiler.compile_grammar(text)

    def _walk(self, grammar: xgrammar.CompiledGrammar, chance: random.Random) -> None:
        """Write a few random tokens, as a model might."""
        stops = list(self._settings.stop_token_ids)
        matcher = xgrammar.GrammarMatcher(grammar, override_stop_tokens=stops)
        for step in range(NUM_STEPS):
            allowed = self._allowed(matcher)
            ordinary = allowed - set(stops)
            if not ordinary and (step == 0 or not allowed):
                raise GrammarFaultError("leaves no token to write; an answer has at least one")
            if not ordinary:
                return
            matcher.accept_token(chance.choice(sorted(ordinary)))

    def _allowed(self, matcher: xgrammar.GrammarMatcher) -> set[int]:
        started = time.thread_time()
        self._mask.fill_(-1)
        matcher.fill_next_token_bitmask(self._mask, 0)
        if time.thread_time() - started > MAX_MASK_SECONDS:
            raise GrammarFaultError("is too complex")
        bits = (self._mask[0][:, None] >> torch.arange(32)) & 1
        allowed = bits.flatten()[: self._tokens.vocab_size].nonzero().flatten()
        return set(allowed.tolist())


def run_trials(connection: Connection, settings: TrialSettings) -> None:
    """The process: answer each ``(kind, text)`` with None, or with its :class:`Fault`."""
    set_up_process()
    trial = GrammarTrial(settings)
    _limit_memory()
    connection.send(None)
    while True:
        kind, text = connection.recv()
        try:
            trial.run(kind, text)
        except Exception as error:  # whatever it is, it is about this grammar
            connection.send(Fault(str(error), is_ours=isinstance(error, GrammarFaultError)))
        else:
            connection.send(None)


def _limit_memory() -> None:
    limit = psutil.Process().memory_info().vms + MAX_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
