"""Commands at any place of any token stream: all executors agree, and the budget holds."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.thinking.generators import (
    ORDINARY_IDS,
    TOKEN_BYTES,
    VOCAB_SIZE,
    plans,
    tables,
    token_streams,
)
from tests.thinking.sampler.states import expected, state_of
from thinking.answer_start import AnswerStart
from thinking.command import CommandAction, ThoughtCommand
from thinking.phase import Phase, StopCause, TokenKind
from thinking.plan import ThinkingPlan
from thinking.sampler.arrays import NumpyArrays
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.batch import Features
from thinking.sampler.row_state import Field, read_plan_values
from thinking.sampler.tables import AutomatonTables
from thinking.sampler.transition import advance
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables

NUMPY = NumpyArrays()
ANSWER = TokenKind.ANSWER


@dataclass(slots=True)
class GovernedReply:
    """A reply under commands: its tokens so far, and the tracker that has read them."""

    tables: TrackerTables
    plan: ThinkingPlan
    tracker: ThinkingTracker = field(init=False)
    token_ids: list[int] = field(default_factory=list)
    kinds: list[TokenKind] = field(default_factory=list)
    commands: list[ThoughtCommand] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tracker = ThinkingTracker(self.tables, self.plan)

    def read(self, token_id: int) -> None:
        """Read the token that is forced, else `token_id`."""
        forced = self.tracker.forced_token_id
        token_id = token_id if forced is None else forced
        self.kinds.append(self.tracker.advance(token_id))
        self.token_ids.append(token_id)

    def obey(self, action: CommandAction, num_tokens: int, words: list[int]) -> None:
        """Apply a command as the server does: only what fits the state."""
        tracker, after = self.tracker, len(self.token_ids)
        if action is CommandAction.ADD:
            words = words[: tracker.num_spare]
            if not (tracker.is_thinking and words):
                return
            num_tokens = len(words)
        elif not tracker.may_think:
            return
        command = ThoughtCommand(after, action, num_tokens)
        tracker.obey(command)
        self.commands.append(command)
        if action is CommandAction.ADD:
            for word in words:
                assert tracker.forced_token_id is None
                self.kinds.append(tracker.advance(word))
                self.token_ids.append(word)

    def to_plan(self) -> ThinkingPlan:
        """Return the plan of the request that continues the reply, as a worker receives it."""
        plan = replace(
            self.plan, prior_token_ids=tuple(self.token_ids), commands=tuple(self.commands)
        )
        return ThinkingPlan.from_dict(plan.to_dict())


@st.composite
def governed_replies(draw: st.DrawFn) -> tuple[GovernedReply, list[int]]:
    """A reply with up to five commands at any places, and tokens that may follow it."""
    shared = draw(tables())
    reply = GovernedReply(shared, draw(plans(shared.profile)))
    stream = draw(token_streams)
    places = sorted(draw(st.lists(st.integers(0, max(1, len(stream))), max_size=5)))
    end = draw(st.integers(0, len(stream)))
    for place in range(end + 1):
        for _ in range(places.count(place)):
            reply.obey(
                draw(st.sampled_from(CommandAction)),
                draw(st.integers(1, 30)),
                draw(st.lists(st.sampled_from(ORDINARY_IDS), max_size=12)),
            )
        if place < end:
            reply.read(stream[place])
    return reply, stream[end:]


def make_automaton(shared: TrackerTables) -> ThinkingAutomaton:
    """Return an automaton with one slot."""
    return ThinkingAutomaton(
        AutomatonTables(shared, VOCAB_SIZE, NUMPY, TOKEN_BYTES), 1, torch.device("cpu")
    )


@given(governed_replies())
def test_who_continues_a_reply_is_in_the_state_of_who_wrote_it(
    drawn: tuple[GovernedReply, list[int]],
) -> None:
    reply, rest = drawn
    plan, live = reply.to_plan(), reply.tracker
    resumed = ThinkingTracker(reply.tables, plan)
    gate = AnswerStart(ThinkingTracker(reply.tables, plan))
    automaton = make_automaton(reply.tables)
    automaton.load(0, plan, [])
    automaton.flush()
    slots = NUMPY.put([0], "int64")
    has_strings = plan.segments is not None and bool(plan.segments.strings)
    features = replace(Features.of([plan]), listening=has_strings)
    if has_strings:  # the text before is there for a gate that waits for one of them
        before = make_automaton(reply.tables)
        answer = [t for t, kind in zip(reply.token_ids, reply.kinds, strict=True) if kind is ANSWER]
        before.tails.write(slots, [(before.tails.make_tail(answer), ("a",))])
        assert (before.tails.tails[0] == automaton.tails.tails[0]).all()
    for number, token in enumerate([None, *rest]):
        if token is not None:
            assert live.advance(token) is resumed.advance(token)
            advance(automaton, slots, NUMPY.put([token], "int32"), features)
        assert resumed.state == live.state
        assert resumed.forced_token_id == live.forced_token_id
        assert state_of(automaton, 0) == expected(live)
        assert gate.has_begun(rest[:number]) or live.is_hidden
        # One that was preempted here, and is loaded with what it has written since.
        again = make_automaton(reply.tables)
        again.load(0, plan, rest[:number])
        again.flush()
        assert state_of(again, 0) == expected(live)
        if has_strings:
            assert (again.tails.tails[0] == automaton.tails.tails[0]).all()
    assert resumed.num_injected == live.num_injected
    assert resumed.stop_cause is live.stop_cause
    row = {column: int(automaton.state[0, column]) for column in read_plan_values(live.plan)}
    assert row == read_plan_values(live.plan)
    assert row[Field.BUDGET] == live.plan.budget


@given(governed_replies())
def test_the_budget_holds_and_grows_by_what_was_granted_only(
    drawn: tuple[GovernedReply, list[int]],
) -> None:
    reply, rest = drawn
    for token in rest:
        reply.read(token)
    while reply.tracker.forced_token_id is not None:
        reply.read(0)
    granted = sum(c.num_tokens for c in reply.commands if c.action is CommandAction.EXTEND)
    hidden = [kind for kind in reply.kinds if kind is not TokenKind.ANSWER]
    assert reply.tracker.plan.budget == reply.plan.budget + granted
    assert reply.tracker.num_hidden == len(hidden)
    if reply.plan.thinks:
        assert len(hidden) <= reply.plan.budget + granted


@given(governed_replies())
def test_after_an_end_the_thought_is_closed_and_no_other_begins(
    drawn: tuple[GovernedReply, list[int]],
) -> None:
    reply, rest = drawn
    was_running = reply.tracker.awaits_thought
    num_commands = len(reply.commands)
    reply.obey(CommandAction.END, 0, [])
    if len(reply.commands) == num_commands:
        return  # nothing was thinking
    while (forced := reply.tracker.forced_token_id) is not None:
        assert reply.tracker.advance(forced) is not TokenKind.ANSWER
    assert reply.tracker.state.phase is Phase.ANSWER
    if was_running:
        assert reply.tracker.stop_cause is StopCause.CALLER
    assert not reply.tracker.may_think
    assert {reply.tracker.advance(token) for token in rest} <= {TokenKind.ANSWER}


@given(governed_replies())
def test_words_are_injected_whatever_they_are(drawn: tuple[GovernedReply, list[int]]) -> None:
    reply, _ = drawn
    for command in reply.commands:
        if command.action is CommandAction.ADD:
            kinds = reply.kinds[command.after : command.until]
            assert kinds == [TokenKind.INJECTED] * command.num_tokens


@pytest.mark.parametrize(
    "commands",
    [
        (ThoughtCommand(2, CommandAction.END), ThoughtCommand(1, CommandAction.END)),
        (ThoughtCommand(4, CommandAction.END),),
        (ThoughtCommand(2, CommandAction.ADD, 2),),
        (ThoughtCommand(1, CommandAction.ADD, 2), ThoughtCommand(2, CommandAction.END)),
        (ThoughtCommand(1, CommandAction.EXTEND, -1),),
    ],
)
def test_commands_that_cannot_have_been_given_are_refused(
    commands: tuple[ThoughtCommand, ...],
) -> None:
    plan = ThinkingPlan(prior_token_ids=(5, 5, 5), commands=commands)
    with pytest.raises(ValueError, match="thinking plan"):
        ThinkingPlan.from_dict(plan.to_dict())
