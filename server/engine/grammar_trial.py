"""The child process that tries grammars, since even a small one can block a compiler forever.

It compiles a grammar as the engine does (xgrammar, same tokens), generates a few random tokens,
and reports what is wrong. If it hangs, crashes or uses too much memory, its parent
(:mod:`.grammar_check`) kills it. Knows nothing of vLLM or of the caller.
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

# vLLM parses a grammar again on the event loop, and computes a mask at every step of the whole
# batch, so a slow grammar would delay all requests.
MAX_PARSE_SECONDS = 0.5
MAX_MASK_SECONDS = 0.1
MAX_MEMORY_BYTES = 2 * 2**30
NUM_WALKS = 4
NUM_STEPS = 24

_PARSERS: dict[ConstraintKind, Callable[[str], Any]] = {
    ConstraintKind.JSON_SCHEMA: xgrammar.Grammar.from_json_schema,
    ConstraintKind.REGEX: xgrammar.Grammar.from_regex,
    ConstraintKind.GRAMMAR: xgrammar.Grammar.from_ebnf,
    ConstraintKind.STRUCTURE: xgrammar.Grammar.from_structural_tag,
}


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """The engine's vocabulary and its JSON whitespace rule."""

    tokenizer_info: str  # xgrammar's own JSON form
    stop_token_ids: tuple[int, ...]
    any_whitespace: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """The reason why a grammar cannot be used.

    `is_ours`: the message is ours and does not quote the grammar.
    """

    message: str
    is_ours: bool


class GrammarFaultError(Exception):
    """A grammar cannot be used; the message does not quote it."""


class GrammarTrial:
    """Compiles grammars for the vocabulary of one model."""

    def __init__(self, settings: TrialSettings) -> None:
        self._settings = settings
        self._tokens = xgrammar.TokenizerInfo.deserialize_json(settings.tokenizer_info)
        self._compiler = xgrammar.GrammarCompiler(self._tokens, max_threads=1, cache_enabled=False)
        self._mask = xgrammar.allocate_token_bitmask(1, self._tokens.vocab_size)

    def run(self, kind: ConstraintKind, text: str) -> None:
        """Check that the grammar can be used.

        Raises:
            GrammarFaultError: the grammar cannot be used.
            RuntimeError: xgrammar rejects the grammar.
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
            case ConstraintKind.STRUCTURE:
                return self._compiler.compile_structural_tag(text)
            case _:
                return self._compiler.compile_grammar(text)

    def _walk(self, grammar: xgrammar.CompiledGrammar, chance: random.Random) -> None:
        """Generate a few random tokens, as a model would."""
        stops = list(self._settings.stop_token_ids)
        matcher = xgrammar.GrammarMatcher(grammar, override_stop_tokens=stops)
        for step in range(NUM_STEPS):
            allowed = self._find_allowed(matcher)
            ordinary = allowed - set(stops)
            if not ordinary and (step == 0 or not allowed):
                raise GrammarFaultError("leaves no token to generate; an answer has at least one")
            if not ordinary:
                return
            matcher.accept_token(chance.choice(sorted(ordinary)))

    def _find_allowed(self, matcher: xgrammar.GrammarMatcher) -> set[int]:
        started = time.thread_time()
        self._mask.fill_(-1)
        matcher.fill_next_token_bitmask(self._mask, 0)
        if time.thread_time() - started > MAX_MASK_SECONDS:
            raise GrammarFaultError("is too complex")
        bits = (self._mask[0][:, None] >> torch.arange(32)) & 1
        allowed = bits.flatten()[: self._tokens.vocab_size].nonzero().flatten()
        return set(allowed.tolist())


def run_trials(connection: Connection, settings: TrialSettings) -> None:
    """Run the child process: reply to each ``(kind, text)`` with None or a :class:`Fault`."""
    set_up_process()
    trial = GrammarTrial(settings)
    _limit_memory()
    connection.send(None)
    while True:
        kind, text = connection.recv()
        try:
            trial.run(kind, text)
        except Exception as error:  # any error is caused by this grammar
            connection.send(Fault(str(error), is_ours=isinstance(error, GrammarFaultError)))
        else:
            connection.send(None)


def _limit_memory() -> None:
    limit = psutil.Process().memory_info().vms + MAX_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
