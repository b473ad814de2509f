"""JSON object of a text completion, and its chunks.

The chunks are ASCII, because some clients treat U+2028 as the end of a line. Knows no HTTP.
"""

from collections.abc import Sequence
from typing import Any

from server.api.openai.completions.echo import Echo
from server.api.openai.completions.logprobs import TokenLists, TokenListsWriter
from server.api.openai.reply_head import ReplyHead, to_usage
from server.choice.delta import ChoiceDelta, ChoiceResult
from server.choice.progress import ThinkingProgress
from server.http.streaming import format_sse_event

KIND = "text_completion"


class CompletionWriter:
    """Writes one completion, whole or in chunks.

    `shows_thought`: choices have their thought's text. `lists` is None if no log-probabilities were
    requested.
    """

    def __init__(
        self,
        head: ReplyHead,
        *,
        lists: TokenListsWriter | None,
        shows_thought: bool,
        includes_usage: bool = False,
    ) -> None:
        self.includes_usage = includes_usage
        self._head = head
        self._lists = lists
        self._shows_thought = shows_thought
        # Number of characters of each choice so far: of its echo, and in total.
        self._echoed: dict[int, int] = {}
        self._written: dict[int, int] = {}

    def write_whole(self, choices: Sequence[ChoiceDelta], echoes: Sequence[Echo]) -> dict[str, Any]:
        """Return the whole completion; each of `choices` has its result and follows its echo."""
        written = [
            self._build_choice(choice, echo) for choice, echo in zip(choices, echoes, strict=True)
        ]
        results = [choice.result for choice in choices if choice.result]
        return {
            **self._head.to_dict(KIND),
            "choices": written,
            "usage": to_usage(self._head.num_prompt_tokens, results),
        }

    def write_echo(self, index: int, echo: Echo) -> bytes:
        """Return the first chunk of a choice that begins with its prompt."""
        self._note_echo(index, echo)
        return self._format_chunk([_make_piece(index, echo.text, echo.lists)])

    def write_begin(self, num_choices: int) -> bytes:
        """Return an empty chunk of each choice, from which the client learns the reply's id."""
        return b"".join(
            self._format_chunk([_make_piece(index, "", None)]) for index in range(num_choices)
        )

    def write_delta(self, delta: ChoiceDelta) -> bytes:
        """Return the chunk of a delta of one choice; its last chunk has the receipt."""
        piece = _make_piece(delta.index, delta.content, self._write_lists(delta))
        if delta.reasoning:
            piece |= _to_thought_fields(delta.reasoning)
        return self._format_chunk([piece | _to_ending(delta.result)])

    def write_progress(self, index: int, progress: ThinkingProgress) -> bytes:
        """Return the chunk that says how far the thoughts of a choice are, and nothing else."""
        piece = _make_piece(index, "", None) | {"thinking": progress.to_dict()}
        return self._format_chunk([piece])

    def write_usage(self, results: Sequence[ChoiceResult]) -> bytes:
        """Return the last chunk, sent if requested: the usage, and no choices."""
        counts = to_usage(self._head.num_prompt_tokens, results)
        return format_sse_event(self._head.to_dict(KIND) | {"choices": [], "usage": counts})

    def _format_chunk(self, choices: Sequence[dict[str, Any]]) -> bytes:
        chunk = self._head.to_dict(KIND) | {"choices": choices}
        return format_sse_event(chunk | {"usage": None} if self.includes_usage else chunk)

    def _build_choice(self, choice: ChoiceDelta, echo: Echo) -> dict[str, Any]:
        self._note_echo(choice.index, echo)
        lists = self._write_lists(choice)
        if echo.lists is not None and lists is not None:
            joined = TokenLists()
            joined.add(echo.lists)
            joined.add(lists)
            lists = joined
        written = _make_piece(choice.index, echo.text + choice.content, lists)
        if self._shows_thought:
            written |= _to_thought_fields(choice.reasoning)
        return written | _to_ending(choice.result)

    def _note_echo(self, index: int, echo: Echo) -> None:
        self._echoed[index] = self._written[index] = len(echo.text)

    def _write_lists(self, delta: ChoiceDelta) -> TokenLists | None:
        index = delta.index
        end = self._written[index] = self._written.get(index, 0) + len(delta.content)
        if self._lists is None:
            return None
        lists = self._lists.write_answer(delta, self._echoed.get(index, 0), end)
        return lists if lists.tokens or delta.result else None


def _make_piece(index: int, text: str, lists: TokenLists | None) -> dict[str, Any]:
    logprobs = None if lists is None else lists.to_dict()
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": None}


def _to_thought_fields(text: str) -> dict[str, str]:
    # The same text under two names, as clients read one or the other.
    return {"reasoning": text, "reasoning_content": text}


def _to_ending(result: ChoiceResult | None) -> dict[str, Any]:
    if result is None:
        return {}
    return {"finish_reason": result.finish_reason, "thinking": result.receipt.to_dict()}
