"""A constraint is tried in a child process before it reaches the engine."""

import asyncio
from collections.abc import Iterator
from multiprocessing import active_children

import pytest

from server.callers.context import caller
from server.constraint.answer_constraint import AnswerConstraint, ConstraintKind
from server.engine import grammar_check
from server.engine.grammar_check import GrammarCheck
from server.errors.internal import ConstraintError
from tests.server.conftest import STOP_ID, TOKENIZER, VOCAB_SIZE

pytest.importorskip("xgrammar")
pytestmark = pytest.mark.slow  # the child imports torch

REGEX, GRAMMAR, SCHEMA = (
    ConstraintKind.REGEX,
    ConstraintKind.GRAMMAR,
    ConstraintKind.JSON_SCHEMA,
)


@pytest.fixture(scope="module")
def checker() -> Iterator[GrammarCheck]:
    made = GrammarCheck(TOKENIZER, VOCAB_SIZE, (STOP_ID,))
    yield made
    made.close()


async def find_fault(checker: GrammarCheck, kind: ConstraintKind, text: str) -> str | None:
    """Return the error message for the client, or None."""
    try:
        await checker.check(AnswerConstraint(kind, "the_field"), text)
    except ConstraintError as error:
        assert error.field == "the_field"
        return str(error)
    return None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (REGEX, "[a-z]{3,5}"),
        (REGEX, "a*"),  # may be empty, need not be
        (GRAMMAR, 'root ::= "a" | root "b"'),
        (SCHEMA, '{"type": "object", "properties": {"a": {"$ref": "#"}}}'),
        (SCHEMA, "{}"),
        (ConstraintKind.JSON_OBJECT, ""),
        (ConstraintKind.CHOICE, 'root ::= "a" | "b"'),
    ],
)
async def test_what_can_be_enforced_passes(
    checker: GrammarCheck, kind: ConstraintKind, text: str
) -> None:
    assert await find_fault(checker, kind, text) is None


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (REGEX, "(hunter2", "position 9"),
        (REGEX, "()", "at least one"),
        (GRAMMAR, "root ::= hunter2", "line 1"),
        (GRAMMAR, "root ::= a\na ::= root", "at least one"),
        (SCHEMA, '{"type": "hunter2"}', "not a JSON schema"),
        (SCHEMA, '{"$ref": "#"}', "at least one"),
    ],
)
async def test_what_cannot_is_refused_without_a_word_of_it(
    checker: GrammarCheck, kind: ConstraintKind, text: str, words: str
) -> None:
    message = await find_fault(checker, kind, text)
    assert message is not None
    assert words in message
    assert "hunter2" not in message


async def test_one_that_never_ends_is_given_up_and_the_next_one_passes(
    checker: GrammarCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await find_fault(checker, REGEX, "x") is None
    before = get_trial_pids()
    assert before
    monkeypatch.setattr(grammar_check, "TRIAL_SECONDS", 0.5)
    bombs = [".*" * 1000, "(.?.?.?.?x?)*" * 40]
    verdicts = await asyncio.gather(*(find_fault(checker, REGEX, bomb) for bomb in bombs))
    assert all("too complex" in str(message) for message in verdicts)
    assert not before & get_trial_pids()
    monkeypatch.setattr(grammar_check, "TRIAL_SECONDS", 5.0)
    assert await find_fault(checker, REGEX, "y") is None


async def test_a_refused_one_that_comes_again_holds_up_nobody(
    checker: GrammarCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar_check, "TRIAL_SECONDS", 0.5)
    bomb = "(.?.?.?.?y?)*" * 40
    assert "too complex" in str(await find_fault(checker, REGEX, bomb))
    monkeypatch.setattr(grammar_check, "TRIAL_SECONDS", 5.0)
    assert await find_fault(checker, REGEX, "z") is None
    before = get_trial_pids()
    assert "too complex" in str(await find_fault(checker, REGEX, bomb))
    assert get_trial_pids() == before  # no process had to be killed


async def test_a_constraint_waits_for_few_bombs_of_another_caller(
    checker: GrammarCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grammar_check, "TRIAL_SECONDS", 1.0)
    bombs = [asyncio.create_task(check_as("eve", checker, ".*" * (1000 + n))) for n in range(6)]
    await asyncio.wait(bombs, return_when=asyncio.FIRST_COMPLETED)
    assert await asyncio.create_task(check_as("bob", checker, "[a-z]{3}")) is None
    assert sum(bomb.done() for bomb in bombs) <= 3
    assert all("too complex" in str(message) for message in await asyncio.gather(*bombs))


async def check_as(name: str, checker: GrammarCheck, pattern: str) -> str | None:
    """Check `pattern` as the caller `name`; run as a separate task, which has its own context."""
    caller.set(name)
    return await find_fault(checker, REGEX, pattern)


def get_trial_pids() -> set[int | None]:
    """Return the ids of the processes that try constraints; the session has other children too."""
    return {child.pid for child in active_children() if child.name == "grammar-trial"}
