"""Settings that every choice of a request is decoded with. A record; nothing is decoded here."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from server.prompt.prepared_prompt import PreparedPrompt
from server.tools.reading import ReaderFactory
from thinking.earlier_thought import KeptThought
from thinking.segments import AnswerEnd
from thinking.tracker_state import TrackerTables
from thinking.turn import TurnShare


@dataclass(frozen=True, slots=True)
class DecodingSettings:
    """Settings of a request's decoders: the model's tables and texts, and the client's options.

    `filtered_markers` are removed from the answer's text. Without `keeps_thought`, hidden tokens
    are only counted. Without `create_tool_reader`, the answer is plain text; with it, the special
    tokens in `call_token_ids` have a text too. `reports_progress`: deltas say how far thoughts are.
    `clock` returns seconds. `turn` is charged with each choice that ends. With `seal_thought`, the
    tokens of the opening thought are kept, and sealed if it is cut.
    """

    tables: TrackerTables
    tokenizer: PreTrainedTokenizerBase
    prompt: PreparedPrompt
    stops: Sequence[str] = ()
    filtered_markers: Sequence[str] = ()
    keeps_thought: bool = False
    create_tool_reader: ReaderFactory | None = None
    call_token_ids: Collection[int] = ()
    answer_end: AnswerEnd = field(default_factory=AnswerEnd)
    reports_progress: bool = False
    clock: Callable[[], float] = time.monotonic
    turn: TurnShare | None = None
    seal_thought: Callable[[KeptThought], str | None] | None = None

    @property
    def stop_token_ids(self) -> frozenset[int]:
        """Tokens that may end an answer: the model's own and the client's."""
        return self.answer_end.stop_token_ids.union(self.tables.profile.stop_token_ids)
