"""Carries out orders to one choice while it is being generated: end, extend, add.

The automaton in the engine's workers knows token ids only: no clock, no caller. Workers that must
decide alike must see alike. So the choice is interrupted in the engine, the order changes its
thinking between two tokens, and another engine request continues it, whose prompt ends with the
tokens so far and whose plan carries the commands. The prefix cache knows that prompt. A choice that
is given no order is one engine request, read as if there were nothing here.

Does not know who may give orders, nor how much may be granted.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Protocol

from server.choice.decoder import ChoiceDecoder
from server.choice.delta import ChoiceDelta
from server.engine.continuation import Continuation
from server.engine.protocol import EngineOutput, EngineRequest, InterruptedRequestError
from server.generation.interrupted_output import cut_output, find_line_end, interrupt_at_once
from server.generation.job import GenerationJob
from server.generation.orders import (
    NoPlaceError,
    NotRunningError,
    NotThinkingError,
    Order,
    OrderOutcome,
    OrderRefusedError,
    TextTooLongError,
)
from server.model.served_model import ServedModel
from thinking.command import CommandAction
from thinking.phase import StopCause, TokenKind
from thinking.strategies.pool import ThinkingPool


class RunningSearch(Protocol):
    """The branches of a choice that is being searched for."""

    @property
    def pool(self) -> ThinkingPool:
        """Budget of the search."""

    async def end(self) -> None:
        """Let all branches end as if the pool were spent."""


class ChoiceGovernor:
    """The orders to one choice, from before its first token until it has ended."""

    def __init__(self, model: ServedModel, job: GenerationJob, index: int) -> None:
        self.index = index
        self.num_extended = 0  # tokens that the budget has been raised by
        self.num_reply_extended = 0  # and the length of the whole reply
        self.is_over = False
        self._model = model
        self._job = job
        self._decoder: ChoiceDecoder | None = None
        self._search: RunningSearch | None = None
        self._waiting: list[Order] = []
        # Orders that a search has carried out, and that hold for what follows it too.
        self._inherited: list[Order] = []
        self._request_id: str | None = None  # of the engine request that is being read
        self._num_requests = 0
        self._is_stopping = False
        self.was_stopped = False  # before its end

    @property
    def decoder(self) -> ChoiceDecoder:
        """The decoder of the choice, which must have begun."""
        assert self._decoder is not None
        return self._decoder

    @property
    def job(self) -> GenerationJob:
        """The job that the choice belongs to."""
        return self._job

    @property
    def has_orders(self) -> bool:
        """True if orders wait to be carried out."""
        return bool(self._waiting)

    @property
    def may_think(self) -> bool:
        """True if an order could still change something: it has not begun, or it thinks."""
        if self._decoder is None or self._search is not None:
            return not self.is_over
        return not self.is_over and self._decoder.tracker.may_think

    @property
    def outcome(self) -> OrderOutcome:
        """Tokens of thought so far, and the budget."""
        if self._search is not None:
            used = self._search.pool.spent
        else:
            used = self._decoder.count_hidden_tokens() if self._decoder is not None else 0
        return OrderOutcome(used, self._job.prompt.budget.budget + self.num_extended)

    @contextmanager
    def attend(self, decoder: ChoiceDecoder) -> Iterator[None]:
        """Take orders for a choice that begins now, until it ends, however that is."""
        self._decoder = decoder
        try:
            yield
        finally:
            self.close()

    def close(self) -> None:
        """Refuse all orders: the choice has ended."""
        self.is_over = True
        self._request_id = None
        for order in self._waiting:
            order.refuse(NotRunningError())
        self._waiting.clear()

    @contextmanager
    def attend_search(self, search: RunningSearch) -> Iterator[None]:
        """Take orders for a search that the choice begins with."""
        self._search = search
        for order in self._take_orders():
            self._begin_with(order, search)
        try:
            yield
        finally:
            self._search = None
            self._waiting += self._inherited

    async def end_in_time(self) -> None:
        """End all thinking: its time is up."""
        await self.post(Order(CommandAction.END, cause=StopCause.TIME))

    async def post(self, order: Order) -> None:
        """Have an order carried out before the next token; its outcome tells when it is.

        Raises:
            OrderRefusedError: it cannot be carried out; nothing is disturbed.
        """
        if self.is_over:
            raise NotRunningError
        if self._search is not None:
            await self._order_search(order, self._search)
            return
        if self._decoder is not None and (refusal := self._find_refusal(order)) is not None:
            raise refusal
        self._waiting.append(order)
        if self._request_id is not None:
            await self._model.engine.interrupt(self._request_id)

    async def stop(self) -> None:
        """Have the choice end before its next token, unless its answer has begun.

        An answer that has begun goes on to its end, and so does a search that is running.
        """
        if self.is_over or self._search is not None or self._is_stopping:
            return
        if self._decoder is not None and self._decoder.tracker.num_answer:
            return
        self._is_stopping = True
        if self._request_id is not None:
            await self._model.engine.interrupt(self._request_id)

    def open(self, request: EngineRequest) -> AsyncGenerator[EngineOutput, None]:
        """Return the outputs of the next engine request.

        Raises:
            InterruptedRequestError: an order waits to be carried out.
        """
        self._request_id = request.request_id
        if self._is_stopping and not self.decoder.tracker.num_answer:
            return interrupt_at_once()
        if self._waiting:
            return self._read_to_line_end(request)
        return self._model.engine.generate(request)

    def take(self, interruption: InterruptedRequestError) -> tuple[EngineOutput, Sequence[int]]:
        """Return the last output of an interrupted request, and all that it has written.

        A grammar cannot start in the middle. An answer whose beginning nobody has seen is left out:
        it will be written anew. The output of a choice that is to stop is its end.
        """
        self._request_id = None
        output, written = interruption.output, interruption.written
        preview = self.decoder.tracker.copy()
        for place, token_id in enumerate(output.token_ids):
            is_answer = preview.advance(token_id) is TokenKind.ANSWER
            if is_answer and self._job.constraint is not None:
                num_kept = len(written) - (len(output.token_ids) - place)
                output, written = cut_output(output, place), written[:num_kept]
                break
            if is_answer:
                return output, written
        if self._is_stopping and not self.decoder.tracker.num_answer:
            self.was_stopped = True
            self.decoder.note_stopped()
            output = replace(output, finish_reason="stop")
        return output, written

    def apply(
        self, request: EngineRequest, written: Sequence[int], delta: ChoiceDelta
    ) -> EngineRequest:
        """Carry out the waiting orders; return the request that continues `request`.

        The decoder has read `written`, all that `request` wrote. The caller's words are added to
        `delta`, where thoughts are shown.
        """
        orders = self._take_orders()
        if not orders and not written:
            return request
        continuation = Continuation(request, written)
        for order in orders:
            refusal = self._find_refusal(order)
            if refusal is not None:
                order.refuse(refusal)
            elif order.words and not self._is_at_line_end(continuation):
                self._waiting.append(order)
            else:
                delta.add(self._carry_out(order, continuation))
                order.resolve(self.outcome)
        if not self._begins_like_a_reply():
            request = continuation.request = replace(request, gathering=None)
        self._num_requests += 1
        base = f"{self._job.request_id}-{self.index}"
        return continuation.to_request(f"{base}+{self._num_requests}")

    def _take_orders(self) -> list[Order]:
        orders, self._waiting = self._waiting, []
        return [order for order in orders if not order.is_dropped]

    def _find_refusal(self, order: Order) -> OrderRefusedError | None:
        """Return why an order cannot be carried out in the present state; None if it can."""
        tracker = self.decoder.tracker
        if order.action is not CommandAction.ADD:
            return None if tracker.may_think else NotThinkingError()
        if not tracker.awaits_thought:
            return NotThinkingError()
        room = tracker.num_spare
        return TextTooLongError(room) if len(order.words) > room else None

    def _carry_out(self, order: Order, continuation: Continuation) -> ChoiceDelta:
        command, decoder = order.to_command(continuation.num_tokens), self.decoder
        decoder.obey(command)
        continuation.commands.append(command)
        continuation.num_reply_tokens += order.num_reply_tokens
        if order not in self._inherited:
            self._note_extension(order)
        if not order.words:
            return ChoiceDelta(self.index)
        continuation.written = [*continuation.written, *order.words]
        delta = decoder.push(EngineOutput(order.words))
        delta.added = order.text
        return delta

    def _note_extension(self, order: Order) -> None:
        if order.action is CommandAction.EXTEND:
            self.num_extended += order.num_tokens
            self.num_reply_extended += order.num_reply_tokens
            self.decoder.note_extended(order.num_tokens)

    def _begins_like_a_reply(self) -> bool:
        """Return whether the next request begins inside a thought, whose end is all to come.

        Only then may its tokens be gathered until that end.
        """
        tracker = self.decoder.tracker
        return tracker.awaits_thought and not tracker.num_marker_tokens_begun

    def _is_at_line_end(self, continuation: Continuation) -> bool:
        """Return whether the caller's words may stand at this place of the thought."""
        tracker = self.decoder.tracker
        ends_line = continuation.last_token_id in self._model.line_token_ids
        return tracker.is_at_beginning or (tracker.is_thinking and ends_line)

    async def _read_to_line_end(self, request: EngineRequest) -> AsyncGenerator[EngineOutput, None]:
        """Yield outputs until a line of the thought ends, where the waiting words have a place."""
        written: list[int] = []
        # One token at a time: where the line ends, the next request begins.
        singly = replace(request, gathering=None)
        async with aclosing(self._model.engine.generate(singly)) as outputs:
            async for output in outputs:
                place = self._find_line_end(output)
                if place is not None:
                    written += output.token_ids[:place]
                    raise InterruptedRequestError(cut_output(output, place), written)
                written += output.token_ids
                yield output
                self._refuse_late_words()

    def _find_line_end(self, output: EngineOutput) -> int | None:
        if not self._waiting or output.finish_reason is not None:
            return None
        preview = self.decoder.tracker.copy()
        return find_line_end(preview, output.token_ids, self._model.line_token_ids)

    def _refuse_late_words(self) -> None:
        """Refuse the words for which no place has come before the thought was over."""
        for order in self._take_orders():
            refusal = self._find_refusal(order)
            if refusal is None:
                self._waiting.append(order)
            else:
                order.refuse(refusal)

    async def _order_search(self, order: Order, search: RunningSearch) -> None:
        if order.action is CommandAction.ADD:
            raise NoPlaceError
        if search.pool.is_closed:
            raise NotThinkingError
        self._begin_with(order, search)
        if order.action is CommandAction.END:
            await search.end()
        order.resolve(self.outcome)

    def _begin_with(self, order: Order, search: RunningSearch) -> None:
        """Carry out an order on the pool of a search."""
        if order.action is CommandAction.ADD:
            order.refuse(NoPlaceError())
            return
        self._inherited.append(order)
        if order.action is CommandAction.END:
            search.pool.is_closed = True
        else:
            search.pool.budget += order.num_tokens
            self._note_extension(order)
        order.resolve(self.outcome)
