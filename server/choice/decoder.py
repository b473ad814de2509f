"""Decoding of one choice: from the engine's token ids to deltas, a result and an outcome.

Tells thought from answer, measures their times and decodes what is kept. Synchronous: knows
neither the engine nor the client, only tokens and time.
"""

from dataclasses import replace

from server.choice.answer_text import AnswerText
from server.choice.decoding_settings import DecodingSettings
from server.choice.delta import THOUGHT_BREAK, ChoiceDelta, ChoiceResult
from server.choice.detokenizer import Detokenizer
from server.choice.outcome import ChoiceOutcome
from server.choice.progress import ProgressMeter, ThinkingProgress
from server.engine.protocol import EngineOutput
from thinking.command import ThoughtCommand
from thinking.keeping_tracker import KeepingTracker
from thinking.phase import StopCause
from thinking.plan import ThinkingPlan
from thinking.receipt import BranchTally, Receipt, make_receipt
from thinking.segments import Segmenter, SplitTokens
from thinking.tracker import ThinkingTracker


class ChoiceDecoder:
    """Turns engine outputs into deltas. `result` is set once the choice has ended.

    Invariant: hidden tokens are counted, and not processed further unless thoughts are kept.
    """

    def __init__(self, index: int, settings: DecodingSettings) -> None:
        self.index = index
        self.result: ChoiceResult | None = None
        self._settings = settings
        self._answer = AnswerText(settings)
        earlier = settings.prompt.plan.earlier_token_ids
        self._thought = Detokenizer(settings.tokenizer, after=earlier)
        self._tracker, self._segmenter = self._track(settings.prompt.plan)
        # Tokens of a search that are not this choice's own.
        self._search: BranchTally | None = None
        # Tokens and seconds of a search that is running.
        self._searched_so_far: tuple[int, float] = (0, 0.0)
        self._meter = ProgressMeter() if settings.reports_progress else None
        # Tokens that the caller has added to the budget.
        self._num_extended = 0
        self._is_stopped = False
        self._num_migrations = 0
        # None: no engine request has begun.
        self._num_cached: int | None = None
        self._started = settings.clock()
        self._first_token: float | None = None
        self._first_answer_token: float | None = None
        self._last_token: float | None = None
        # Time in which hidden tokens arrived, after the first token.
        self._thinking_seconds = 0.0

    def push(self, output: EngineOutput) -> ChoiceDelta:
        """Take new tokens; none may follow once `result` is set."""
        split = self._segmenter.push(output.token_ids)
        if output.num_cached_tokens is not None:
            self._note_cached(output.num_cached_tokens)
        self._num_migrations += output.num_migrations
        if output.token_ids:
            self._note_times(len(output.token_ids), len(split.answer))
        delta = ChoiceDelta(self.index)
        if split.thought:
            delta.reasoning = self._decode_thought(split)
        if split.answer or output.finish_reason is not None:
            finish_reason = self._answer.push(split, output, delta)
            if finish_reason is not None:
                receipt = self._make_receipt()
                self.result = delta.result = ChoiceResult(
                    finish_reason,
                    receipt,
                    receipt.used,
                    self._tracker.num_answer,
                    self._answer.matched_stop,
                    self._num_cached or 0,
                )
        if self._meter is not None:
            delta.progress = self._measure_progress(self._meter)
        return delta

    def has_thought_for(self, seconds: float) -> bool:
        """Return whether a thought is running although thoughts have taken `seconds` already."""
        return self._tracker.is_thinking and self._thinking_seconds >= seconds

    @property
    def tracker(self) -> ThinkingTracker:
        """The state of the choice's thinking; a search replaces it by that of its winner."""
        return self._tracker

    def obey(self, command: ThoughtCommand) -> None:
        """Expect what a command changes from the next token on."""
        self._tracker.obey(command)

    def note_extended(self, num_tokens: int) -> None:
        """Count tokens that were added to the budget."""
        self._num_extended += num_tokens

    def note_stopped(self) -> None:
        """Count a thought that the next output leaves unfinished as ended by the caller."""
        self._is_stopped = True

    def count_hidden_tokens(self) -> int:
        """Return the number of hidden tokens so far: the receipt's `used`."""
        return self._tracker.num_hidden + (self._search.num_hidden if self._search else 0)

    @property
    def is_progress_due(self) -> bool:
        """True if progress is to be reported and the last report is long enough ago."""
        return self._meter is not None and self._meter.is_due(self._settings.clock())

    def note_searching(self, num_used: int, seconds: float) -> None:
        """Show in the progress what a running search has used so far; counts nothing."""
        self._searched_so_far = num_used, seconds

    def note_search(self, tally: BranchTally, seconds: float) -> None:
        """Count the tokens and the time of a search as thinking of this choice."""
        self._searched_so_far = 0, 0.0
        self._search = tally
        self._thinking_seconds += seconds

    def adopt_branch(self, plan: ThinkingPlan, tally: BranchTally) -> None:
        """Begin with the branch that a search has chosen; `plan` also holds for what follows it.

        `tally` counts what the search generated in addition to that branch.
        """
        self._tracker, self._segmenter = self._track(plan)
        self._search = tally

    def outcome(self) -> ChoiceOutcome:
        """Return what the choice has used; a choice without a result counts as cancelled."""
        if self.result is None and self._tracker.is_hidden:
            self._tracker.stop_cause = StopCause.CANCELLED
        return ChoiceOutcome(
            receipt=self.result.receipt if self.result is not None else self._make_receipt(),
            num_answer=self._tracker.num_answer,
            started=self._started,
            first_token=self._first_token,
            first_answer_token=self._first_answer_token,
            num_cached=self._num_cached or 0,
        )

    def _track(self, plan: ThinkingPlan) -> tuple[ThinkingTracker, Segmenter]:
        keeps_tokens = self._settings.seal_thought is not None
        make_tracker = KeepingTracker if keeps_tokens else ThinkingTracker
        tracker = make_tracker(self._settings.tables, plan)
        segmenter = Segmenter(
            tracker,
            keep_thought=self._settings.keeps_thought,
            answer_end=self._settings.answer_end,
        )
        return tracker, segmenter

    def _note_cached(self, num_cached: int) -> None:
        """Keep the fewest: later engine requests also find what the first one has computed."""
        known = num_cached if self._num_cached is None else self._num_cached
        self._num_cached = min(num_cached, known)

    def _decode_thought(self, split: SplitTokens) -> str:
        text, begin = "", 0
        for place in split.thought_breaks:
            text += self._thought.push(split.thought[begin:place]) + THOUGHT_BREAK
            begin = place
        return text + self._thought.push(split.thought[begin:])

    def _note_times(self, num_tokens: int, num_answer: int) -> None:
        now = self._settings.clock()
        if self._first_token is None:
            self._first_token = now
        if num_answer < num_tokens and self._last_token is not None:
            self._thinking_seconds += now - self._last_token
        self._last_token = now
        if num_answer and self._first_answer_token is None:
            self._first_answer_token = now

    def _measure_progress(self, meter: ProgressMeter) -> ThinkingProgress | None:
        """Return the progress if it is due; a thought's last count always is."""
        num_searched, seconds = self._searched_so_far
        used = self._tracker.num_hidden + num_searched
        if self._search is not None:
            used += self._search.num_hidden
        is_over = self.result is not None or not self._tracker.is_hidden
        if not meter.report(used, self._settings.clock(), is_over=is_over):
            return None
        return ThinkingProgress(
            used,
            self._settings.prompt.budget.budget + self._num_extended,
            round(self._thinking_seconds + seconds, 3),
            self._tracker.num_segments,
        )

    def _make_receipt(self) -> Receipt:
        prompt, turn = self._settings.prompt, self._settings.turn
        if self._is_stopped and self._tracker.num_segments and self._tracker.is_hidden:
            self._tracker.stop_cause = StopCause.CALLER
        receipt = make_receipt(
            prompt.budget,
            self._tracker,
            self._thinking_seconds,
            prompt.advice,
            self._search,
            turn,
            self._num_extended,
            self._num_migrations,
        )
        sealed = self._seal_thought()
        if sealed is None and prompt.num_continued is None:
            return receipt
        return replace(receipt, continued=prompt.num_continued, sealed=sealed)

    def _seal_thought(self) -> str | None:
        seal, tracker = self._settings.seal_thought, self._tracker
        if seal is None or not isinstance(tracker, KeepingTracker):
            return None
        cut = tracker.cut_thought
        return None if cut is None else seal(cut)
